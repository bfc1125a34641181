"""What the soak does to a platform: kills, freezes, flushes and restarts, drawn from one seed."""

import random
import signal
import time
from collections import Counter
from collections.abc import Callable

from tests.acceptance.stack import Stack, kill

EVERY_S = 2.0
FROZEN_S = 1.5
# Shorter than the pause after which Postgres ends the session of a drain that stops inside a turn.
SICK_REDIS_S = 3.0


class Chaos:
    """One harm after the other. The same seed draws the same harms; who is hit depends on who is running."""

    def __init__(self, stack: Stack, seed: int) -> None:
        self._stack = stack
        self._random = random.Random(seed)
        self.done: Counter[str] = Counter()
        self._harms: list[tuple[int, str, Callable[[], None]]] = [
            (30, "kill a process of a drain", lambda: self._kill_pool("drain")),
            (8, "kill a process of the chores", lambda: self._kill_pool("tasks")),
            (10, "kill a process of web", lambda: self._kill_pool("web")),
            (8, "kill the node of drains", lambda: self._kill_leader("drain")),
            (5, "kill the node of chores", lambda: self._kill_leader("tasks")),
            (5, "kill web", lambda: self._kill_leader("web")),
            (5, "kill beat", lambda: self._kill_leader("beat")),
            (4, "stop the node of drains", self._stop_drains),
            (6, "freeze a process of a drain", self._freeze),
            (7, "flush Redis", self._flush),
            (3, "kill Redis", self._stack.restart_redis),
            (3, "freeze Redis", self._freeze_redis),
            (2, "restart Postgres", self._stack.restart_postgres),
            (2, "kill Postgres", lambda: self._stack.restart_postgres(signal.SIGKILL)),
            (6, "end the sessions of Postgres", self._end_sessions),
        ]

    def strike(self) -> str:
        weights = [weight for weight, _, _ in self._harms]
        _, name, harm = self._random.choices(self._harms, weights)[0]
        harm()
        self.done[name] += 1
        return name

    def _kill_pool(self, part: str) -> None:
        if pids := self._stack.pool_pids(part):
            kill(self._random.choice(pids))

    def _kill_leader(self, part: str, number: signal.Signals = signal.SIGKILL) -> None:
        for one in self._stack.running():
            if one.part == part and one.is_leader:
                kill(one.pid, number)

    def _stop_drains(self) -> None:
        self._kill_leader("drain", signal.SIGTERM)

    def _freeze(self) -> None:
        if pids := self._stack.pool_pids("drain"):
            pid = self._random.choice(pids)
            if kill(pid, signal.SIGSTOP):
                time.sleep(FROZEN_S)
                kill(pid, signal.SIGCONT)

    def _flush(self) -> None:
        with self._stack.redis_client() as client:
            client.flushall()

    def _freeze_redis(self) -> None:
        self._stack.freeze_redis()
        time.sleep(SICK_REDIS_S)
        self._stack.thaw_redis()

    def _end_sessions(self) -> None:
        self._stack.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
