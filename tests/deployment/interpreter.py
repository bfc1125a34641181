"""A Python for the containers' user, who cannot always reach the one that runs the tests."""

import os
import pwd
import shutil
import sys
import sysconfig
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SCRIPTS = ("celery", "granian")
# What compose.yaml calls by name, besides Python.
NEEDLESS = shutil.ignore_patterns("site-packages", "test", "tests", "idlelib", "tkinter", "ensurepip", "turtledemo")


@dataclass(frozen=True, slots=True)
class Interpreter:
    """`binaries` goes on the PATH, `packages` on the PYTHONPATH. `user` are arguments that make `subprocess` switch."""

    binaries: Path
    packages: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    user: dict[str, Any] = field(default_factory=dict)


def find(directory: Path) -> Interpreter:
    """Root switches to `nobody`, as whom it runs the embedded services; everybody else stays who they are.

    Where root's Python is closed to others it is copied to `directory`. Where the packages are closed, too, nobody
    switches: they are too many to copy.
    """
    present, packages = Path(sys.executable).parent, Path(sysconfig.get_path("purelib"))
    if os.geteuid() != 0 or not _is_open(packages):
        return Interpreter(present)
    nobody = pwd.getpwnam("nobody")
    user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    if _is_open(Path(sys.executable).resolve()):
        return Interpreter(present, user=user)
    copy = _copy(directory, present)
    libraries = {"LD_LIBRARY_PATH": str(copy.parent / "lib")}
    return Interpreter(copy, packages=str(packages), environment=libraries, user=user)


def _is_open(path: Path) -> bool:
    return all(parent.stat().st_mode & 0o001 for parent in path.parents)


def _copy(directory: Path, present: Path) -> Path:
    """The interpreter with its library, and scripts that begin with it. Returns the directory of the binaries."""
    base = Path(sys.base_prefix)
    binaries, libraries = directory / "bin", directory / "lib"
    binaries.mkdir(parents=True)
    library = Path(sysconfig.get_path("stdlib"))
    shutil.copytree(library, libraries / library.name, ignore=NEEDLESS, symlinks=True)
    for shared in (base / "lib").glob("libpython*.so*"):
        shutil.copy(shared, libraries)
    shutil.copy(Path(sys.executable).resolve(), binaries / library.name)
    (binaries / "python").symlink_to(library.name)
    for script in SCRIPTS:
        _, _, rest = (present / script).read_text().partition("\n")
        (binaries / script).write_text(f"#!{binaries / 'python'}\n{rest}")
        (binaries / script).chmod(0o755)
    return binaries
