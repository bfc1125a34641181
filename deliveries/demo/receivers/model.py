"""What a receiver has noted of an endpoint, and what it makes of a delivery."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from deliveries.receiver import Verdict


@dataclass(frozen=True, slots=True)
class Known:
    """An endpoint as the merchant set it up: its system, its format, and what its deliveries must show."""

    system: str
    profile: str
    secret: str | None = field(default=None, repr=False)
    username: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Reading:
    """`verdict` is None where nothing was given to check with; `key` tells the event from others of its system."""

    verdict: Verdict | None
    key: str = ""


Headers = Mapping[str, str]
# With lower-case names.

Reader = Callable[[Known, Headers, bytes, float], Reading]
# The last is the time, in seconds since 1970. Raises ValueError for a delivery that is not of its system's form.
