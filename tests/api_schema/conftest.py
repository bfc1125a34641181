"""The people of the other tests."""

from tests.subscriptions.conftest import alice, bob, provider, rung, types

__all__ = ["alice", "bob", "provider", "rung", "types"]
