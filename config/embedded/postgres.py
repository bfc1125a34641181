"""Starts and stops the embedded PostgreSQL. It listens on a Unix socket only, in a directory closed to others."""

import shlex
import shutil
import signal
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

import psycopg

from config.embedded import binaries, processes
from config.embedded.errors import EmbeddedError
from config.embedded.ground import Ground

ROLE = "signet"
DATABASE = "signet"

START_S = 60
# Recovery after a crash replays up to max_wal_size; that is seconds, not minutes.
STOP_S = 30
PING_TIMEOUT_S = 5
ATTEMPTS = 3
# A killed server's children hold its shared memory for a moment; a start that meets them succeeds a second later.

SETTINGS = {
    "listen_addresses": "''",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    # What names no days locks every partition with its indexes: a thousand where 100 days are kept.
    "max_locks_per_transaction": "256",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "random_page_cost": "1.1",
    "jit": "off",
    "synchronous_commit": "on",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    # Lanes and their entries are updated all day: their dead rows are cleared early, in small steps.
    "autovacuum_naptime": "15s",
    "autovacuum_vacuum_scale_factor": "0.05",
    "autovacuum_analyze_scale_factor": "0.05",
    "autovacuum_vacuum_cost_limit": "1000",
    "timezone": "'UTC'",
    "log_timezone": "'UTC'",
    "log_line_prefix": "'%m [%p] '",
}
# For tests: nothing waits for the disk, so a crash of the machine may lose everything. A killed server loses nothing.
UNSAFE_SETTINGS = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "128MB"}


class Postgres:
    """The server of one ground."""

    def __init__(self, ground: Ground, *, is_durable: bool = True) -> None:
        self._ground = ground
        self._is_durable = is_durable
        self._config = ground.path / "postgresql.conf"
        self._log = ground.sockets / "postgres.log"

    @property
    def url(self) -> str:
        return self._url(DATABASE)

    def start(self) -> str:
        """Make sure that it runs, and return its URL.

        1. A healthy one is used as it is, whoever started it.
        2. One that lives but does not answer is starting up or broken: wait, then stop it.
        3. What a crash left behind is cleared, the data directory is created if there is none, and it is started.
        """
        if not self.is_healthy() and not self._comes_round():
            installation = binaries.find_postgres(self._ground)
            data = self._ground.path / f"postgres-{installation.major}"
            self._clear_stale(data)
            self._write_config()
            self._create(installation, data)
            self._launch(installation, data)
        self._create_database()
        return self.url

    def stop(self) -> None:
        """A fast stop: open connections are ended, everything committed is kept."""
        for data in self._data_directories():
            pid = self._pid(data)
            if pid:
                processes.stop(pid, first=signal.SIGINT, timeout_s=STOP_S)

    def is_healthy(self) -> bool:
        try:
            psycopg.connect(self._url("postgres"), connect_timeout=PING_TIMEOUT_S).close()
        except psycopg.OperationalError:
            return False
        return True

    def is_alive(self) -> bool:
        return any(self._pid(data) for data in self._data_directories())

    def _url(self, database: str) -> str:
        return f"postgresql://{ROLE}@/{database}?host={quote(str(self._ground.sockets), safe='/')}"

    def _data_directories(self) -> list[Path]:
        return [path for path in self._ground.path.glob("postgres-*") if path.suffix != ".new"]

    def _pid(self, data: Path) -> int | None:
        """The server that works in this data directory, if one does."""
        pid = processes.read_pid(data / "postmaster.pid")
        is_ours = pid is not None and processes.is_alive(pid) and processes.is_at_home(pid, data, command="postgres")
        return pid if is_ours else None

    def _comes_round(self) -> bool:
        if not self.is_alive():
            return False
        if self._wait_healthy():
            return True
        self.stop()
        return False

    def _wait_healthy(self) -> bool:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self.is_healthy():
                return True
            if not self.is_alive():
                return False
            time.sleep(0.2)
        return False

    def _clear_stale(self, data: Path) -> None:
        """Postgres itself refuses to start while the pid in the file belongs to any living process of its user."""
        (data / "postmaster.pid").unlink(missing_ok=True)

    def _write_config(self) -> None:
        """In our directory, not in the server's own: root never writes where another user could plant a link."""
        settings = SETTINGS | ({} if self._is_durable else UNSAFE_SETTINGS)
        sockets = str(self._ground.sockets).replace("'", "''")
        lines = [f"{name} = {value}" for name, value in settings.items()]
        self._config.write_text("\n".join([*lines, f"unix_socket_directories = '{sockets}'", ""]))
        self._config.chmod(0o644)

    def _create(self, installation: binaries.Postgres, data: Path) -> None:
        if data.exists():
            return
        draft = data.with_name(f"{data.name}.new")
        shutil.rmtree(draft, ignore_errors=True)
        self._ground.make_private(draft)
        # From version 17 on Postgres brings its own Unicode rules; before, plain byte order needs nothing installed.
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if installation.major >= 17 else []
        command = [installation.command("initdb"), "-D", str(draft), "-U", ROLE, "-E", "UTF8", "--locale=C", *locale]
        self._run([*command, "--auth=trust", *([] if self._is_durable else ["--no-sync"])])
        draft.rename(data)

    def _launch(self, installation: binaries.Postgres, data: Path) -> None:
        options = f"-c config_file={shlex.quote(str(self._config))}"
        command = [installation.command("pg_ctl"), "start", "-D", str(data), "-l", str(self._log)]
        command += ["-w", "-t", str(START_S), "-s", "-o", options]
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._run(command)
            except EmbeddedError:
                if attempt == ATTEMPTS:
                    raise
                time.sleep(1)
            else:
                return

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            cwd="/",
            env=processes.ENVIRONMENT,
            start_new_session=True,
            timeout=START_S * 2,
            **self._ground.switch(),
        )
        if done.returncode:
            reason = done.stderr.strip() or "it gave no reason"
            raise EmbeddedError(f"PostgreSQL did not start: {reason} (log: {self._log})")

    def _create_database(self) -> None:
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone():
                connection.execute(f"CREATE DATABASE {DATABASE}")
