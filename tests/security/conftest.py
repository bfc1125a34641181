"""Alice, Bob, Charlie and the provider of the subscriptions tests, for tests that go through both apps."""

from tests.subscriptions.conftest import alice, bob, charlie, provider, rung, types  # noqa: F401 - fixtures
