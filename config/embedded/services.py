"""The embedded services of one state directory, as one thing to start and stop."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from config.embedded import state
from config.embedded.ground import Ground, choose_ground, open_state_dir
from config.embedded.postgres import Postgres
from config.embedded.redis import Redis
from config.embedded.state import Urls


class Services:
    """Started when needed, shared by whoever uses the same state directory, stopped by the last one out."""

    def __init__(self, directory: Path, *, is_durable: bool = True) -> None:
        open_state_dir(directory)
        self.directory = directory
        self._ground = choose_ground(directory)
        self._postgres = Postgres(self._ground, is_durable=is_durable)
        self._redis = Redis(self._ground)
        self._use: state.Use | None = None
        self._wanted: dict[str, bool] = {}

    @property
    def ground(self) -> Ground:
        return self._ground

    def start(self, *, postgres: bool = True, redis: bool = True) -> Urls:
        """Raises EmbeddedError with the reason when one cannot be started."""
        with state.starting(self.directory):
            self._use = self._use or state.Use(self.directory)
            self._wanted = {"postgres": postgres, "redis": redis}
            urls = Urls(
                database_url=self._postgres.start() if postgres else "",
                redis_url=self._redis.start() if redis else "",
            )
            known = state.read(self.directory)
            state.write(
                self.directory,
                Urls(urls.database_url or known.database_url, urls.redis_url or known.redis_url),
            )
        return urls

    def revive(self) -> str:
        """Start again what died since the start, and name it. Only pids are looked at: a frozen one delays nobody."""
        alive = {"postgres": self._postgres.is_alive, "redis": self._redis.is_alive}
        dead = [name for name, wanted in self._wanted.items() if wanted and not alive[name]()]
        if dead:
            self.start(**self._wanted)
        return " and ".join(dead)

    def stop(self) -> bool:
        """Stop what runs, unless another process of this checkout uses it too. True when stopped."""
        with state.starting(self.directory):
            use = self._use or state.Use(self.directory)
            self._use = None
            if not use.give_up():
                return False
            self._redis.stop()
            self._postgres.stop()
            state.write(self.directory, Urls())
        return True

    def erase(self) -> None:
        """Remove the data, the logs and the state. Only after a stop."""
        for path in {self._ground.path, self.directory}:
            shutil.rmtree(path, ignore_errors=True)


def start_missing(
    directory: Path, environment: Mapping[str, str], *, is_durable: bool = True
) -> tuple[Services | None, Urls]:
    """Start what the environment names no URL for. None when it names both."""
    needs_postgres = not environment.get("DATABASE_URL")
    needs_redis = not environment.get("REDIS_URL")
    if not (needs_postgres or needs_redis):
        return None, Urls()
    services = Services(directory, is_durable=is_durable)
    try:
        return services, services.start(postgres=needs_postgres, redis=needs_redis)
    except BaseException:
        # Also when a signal interrupts: what was started a moment ago must not stay behind.
        services.stop()
        raise
