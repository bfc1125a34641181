"""The clients of the contract tests and the world of the deliveries tests, for receivers that misbehave."""

from tests.deliveries.conftest import make_endpoint, make_merchant, make_type
from tests.dispatcher.http.conftest import ca_file, quiet_environment, sender

__all__ = ["ca_file", "make_endpoint", "make_merchant", "make_type", "quiet_environment", "sender"]
