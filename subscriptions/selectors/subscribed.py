"""Whether an endpoint is told of a type of event, as the fan-out has it."""

from fnmatch import fnmatchcase

from subscriptions.models import Endpoint
from subscriptions.operational import is_reserved


def hears(endpoint: Endpoint, event_type: str) -> bool:
    """By its event types alone: whether it is switched on, and which accounts it wants, is another matter.

    "All" are all of the provider's; what the platform tells of itself has to be named.
    """
    # Type names hold none of the characters that this matching treats specially; filters only the star at their end.
    if endpoint.event_types is None:
        return not is_reserved(event_type)
    return any(fnmatchcase(event_type, wanted) for wanted in endpoint.event_types)
