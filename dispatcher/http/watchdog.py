"""Ends exchanges at their deadline, from a thread that never touches the network otherwise."""

import threading

from dispatcher.http.exchange import Exchange


class Watchdog:
    """All exchanges have the same deadline: the first to begin is the first to end, a dict keeps that order."""

    def __init__(self) -> None:
        self._watched: dict[Exchange, None] = {}
        self._changed = threading.Condition()
        self._is_closed = False
        threading.Thread(target=self._run, name="deadlines", daemon=True).start()

    def watch(self, exchange: Exchange) -> None:
        with self._changed:
            self._watched[exchange] = None
            if len(self._watched) == 1:
                self._changed.notify()

    def dismiss(self, exchange: Exchange) -> None:
        """The exchange is over; a thread that sleeps towards its deadline finds that out when it wakes."""
        with self._changed:
            self._watched.pop(exchange, None)

    def close(self) -> None:
        """End everything now."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()

    def _run(self) -> None:
        while not self._is_closed:
            exchange = self._next_expired()
            if exchange is not None:
                exchange.expire()
        for exchange in list(self._watched):
            exchange.expire()

    def _next_expired(self) -> Exchange | None:
        """Sleep until the oldest exchange is due; None when something else happened first."""
        with self._changed:
            if self._is_closed:
                return None
            if not self._watched:
                self._changed.wait()
                return None
            oldest = next(iter(self._watched))
            left_s = oldest.left_s()
            if left_s > 0:
                self._changed.wait(left_s)
                return None
            del self._watched[oldest]
            return oldest
