"""Where the services keep their files, and as whom they run.

PostgreSQL refuses to run as root, so root runs the services as an ordinary user. That user must be able to reach
the files: where the checkout is closed to it (below /root, say), they go to a directory under /var/tmp instead.
"""

import hashlib
import os
import pwd
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.embedded.errors import EmbeddedError

SERVICE_USERS = ("nobody", "postgres", "daemon")
# `nobody` first: the others may own a database of the machine that is no business of ours.

SOCKET_NAME = ".s.PGSQL.5432"
SOCKET_PATH_MAX_BYTES = 100
# The system's limit for a Unix socket's path is 107 bytes on Linux and 103 on macOS.


@dataclass(frozen=True, slots=True)
class User:
    """An ordinary user that root runs the services as."""

    uid: int
    gid: int
    name: str

    def switch(self) -> dict[str, Any]:
        """Arguments that make `subprocess` run a command as this user."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


@dataclass(frozen=True, slots=True)
class Ground:
    """The services' own directory. `user` is None when they run as whoever started them."""

    path: Path
    user: User | None

    @property
    def sockets(self) -> Path:
        """Sockets, pid files and logs. Closed to others: who may enter it may use the services."""
        return self.path / "run"

    @property
    def binaries(self) -> Path:
        return self.path / "bin"

    def switch(self) -> dict[str, Any]:
        return self.user.switch() if self.user else {}

    def make_private(self, path: Path) -> None:
        """A directory that belongs to the services and is closed to everybody else."""
        path.mkdir(exist_ok=True)
        path.chmod(0o700)
        if self.user:
            os.chown(path, self.user.uid, self.user.gid)


def open_state_dir(directory: Path) -> None:
    """Create the state directory. As root it stays passable, for the user that the services run as."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o755 if os.geteuid() == 0 else 0o700)
    except OSError as error:
        raise EmbeddedError(
            f"Cannot use {directory} ({error.strerror}): set SIGNET_STATE_DIR to a directory of your own, "
            "or DATABASE_URL and REDIS_URL to services that run already."
        ) from None


def choose_ground(directory: Path) -> Ground:
    """The state directory itself where that works, else a directory of ours under /var/tmp."""
    user = _service_user() if os.geteuid() == 0 else None
    is_short = len(os.fsencode(directory / "run" / SOCKET_NAME)) <= SOCKET_PATH_MAX_BYTES
    if is_short and (user is None or _is_passable(directory, user)):
        ground = Ground(directory, user)
    else:
        ground = Ground(_temporary_home(directory), user)
        _open_temporary(ground.path)
    ground.make_private(ground.sockets)
    return ground


def _service_user() -> User:
    for name in SERVICE_USERS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return User(entry.pw_uid, entry.pw_gid, name)
    raise EmbeddedError(
        "PostgreSQL does not run as root and this machine has no user `nobody` to run it as: "
        "start Signet as an ordinary user, or set DATABASE_URL and REDIS_URL."
    )


def _is_passable(directory: Path, user: User) -> bool:
    """Whether the user may walk down to the directory. Access lists are not looked at: unsure means no."""
    return all(_may_pass(step.stat(), user) for step in (directory, *directory.parents))


def _may_pass(found: os.stat_result, user: User) -> bool:
    if found.st_uid == user.uid:
        return bool(found.st_mode & stat.S_IXUSR)
    return bool(found.st_mode & stat.S_IXOTH)


def _temporary_home(directory: Path) -> Path:
    """The same for the same state directory and user, and short."""
    key = hashlib.sha256(f"{os.geteuid()}:{directory}".encode()).hexdigest()[:12]
    base = Path("/var/tmp")  # noqa: S108 - survives a reboot; the directory in it is checked to be ours
    return (base if base.is_dir() else Path(tempfile.gettempdir())) / f"signet-{key}"


def _open_temporary(path: Path) -> None:
    """Create it or make sure that it is ours: anybody may create names in /var/tmp."""
    mode = 0o755 if os.geteuid() == 0 else 0o700
    path.mkdir(mode=mode, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise EmbeddedError(f"{path} belongs to somebody else: remove it, or set SIGNET_STATE_DIR to a short path.")
    path.chmod(mode)
