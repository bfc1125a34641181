"""How many threads of a process may wait for a receiver while somebody waits for the answer."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from threading import BoundedSemaphore

from django.conf import settings

from subscriptions.errors import Overloaded

MOST_AT_ONCE = 2
# In one process, of all merchants, test events and connectivity tests together: each holds a thread until somebody
# answers, and publishing needs threads, too.

_slots = BoundedSemaphore(MOST_AT_ONCE)


@contextmanager
def slot() -> Iterator[None]:
    """Raises Overloaded rather than wait: that would hold the thread as well."""
    if not _slots.acquire(blocking=False):
        wait_s = ceil(settings.DELIVERY_TIMEOUT)
        raise Overloaded("Other tests are under way. Try again shortly.", retry_after_s=wait_s)
    try:
        yield
    finally:
        _slots.release()
