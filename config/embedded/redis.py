"""Starts and stops the embedded Redis. It listens on a Unix socket only and keeps nothing on disk."""

import signal
import subprocess
import time
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from config.embedded import binaries, processes
from config.embedded.errors import EmbeddedError
from config.embedded.ground import Ground

START_S = 15
STOP_S = 5
PING_TIMEOUT_S = 2
ONCE = Retry(NoBackoff(), retries=0)


class Redis:
    """The server of one ground."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._socket = ground.sockets / "redis.sock"
        self._pid_file = ground.sockets / "redis.pid"
        self._config = ground.path / "redis.conf"

    @property
    def url(self) -> str:
        return f"unix://{quote(str(self._socket))}?db=0"

    def start(self) -> str:
        """Make sure that it runs, and return its URL. One that does not answer is replaced."""
        if not self.is_healthy():
            self.stop()
            self._launch(binaries.find_redis(self._ground))
        return self.url

    def stop(self) -> None:
        pid = self._pid()
        if pid:
            processes.stop(pid, first=signal.SIGTERM, timeout_s=STOP_S)

    def is_healthy(self) -> bool:
        client = redis.Redis(unix_socket_path=str(self._socket), socket_timeout=PING_TIMEOUT_S, retry=ONCE)
        try:
            client.ping()
        except (redis.RedisError, OSError):
            return False
        finally:
            client.close()
        return True

    def is_alive(self) -> bool:
        return self._pid() is not None

    def _pid(self) -> int | None:
        pid = processes.read_pid(self._pid_file)
        home = self._ground.sockets
        is_ours = pid is not None and processes.is_alive(pid) and processes.is_at_home(pid, home, command="-server")
        return pid if is_ours else None

    def _launch(self, server: str) -> None:
        # One that the server cannot overwrite would hide it from `stop`.
        self._pid_file.unlink(missing_ok=True)
        self._write_config()
        done = subprocess.run(  # noqa: S603
            [server, str(self._config)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env=processes.ENVIRONMENT,
            start_new_session=True,
            timeout=START_S,
            **self._ground.switch(),
        )
        if done.returncode or not self._wait_healthy():
            reason = (done.stdout + done.stderr).strip() or f"see {self._ground.sockets / 'redis.log'}"
            raise EmbeddedError(f"Redis did not start: {reason}")

    def _wait_healthy(self) -> bool:
        deadline = time.monotonic() + START_S
        while not self.is_healthy():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def _write_config(self) -> None:
        lines = [
            "port 0",
            f"unixsocket {_quoted(self._socket)}",
            "unixsocketperm 700",
            f"dir {_quoted(self._ground.sockets)}",
            f"pidfile {_quoted(self._pid_file)}",
            f"logfile {_quoted(self._ground.sockets / 'redis.log')}",
            "daemonize yes",
            'save ""',
            "appendonly no",
            # A full Redis refuses a doorbell, which is noticed, instead of dropping one silently.
            "maxmemory-policy noeviction",
            "",
        ]
        self._config.write_text("\n".join(lines))
        self._config.chmod(0o644)


def _quoted(path: object) -> str:
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'
