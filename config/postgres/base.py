"""The database backend: a kept connection is looked at, not asked, before a request uses it."""

import select

from django.db.backends.postgresql import base

ANYTHING = select.POLLIN | select.POLLHUP | select.POLLERR | select.POLLNVAL


class DatabaseWrapper(base.DatabaseWrapper):
    """A server that went away has closed its sockets, and one that ends a session says so before: either way an idle
    connection is readable. Only then is the server asked, which took a tenth of the time of publishing one event."""

    def is_usable(self) -> bool:
        return self._is_silent() or bool(super().is_usable())

    def _is_silent(self) -> bool:
        if self.connection is None or self.connection.closed or self.connection.broken:
            return False
        idle = select.poll()
        idle.register(self.connection.fileno(), ANYTHING)
        return not idle.poll(0)
