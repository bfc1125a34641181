"""What is running, kept in a file of the state directory so that every command of this checkout finds it."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent.parent
FILE_NAME = "embedded.json"


@dataclass(frozen=True, slots=True)
class Urls:
    """Where the embedded services answer. Empty: not started by us."""

    database_url: str = ""
    redis_url: str = ""


def state_dir() -> Path:
    """`.signet/` of the checkout, unless SIGNET_STATE_DIR names another directory."""
    return Path(os.environ.get("SIGNET_STATE_DIR") or CHECKOUT / ".signet").absolute()


def read(directory: Path | None = None) -> Urls:
    try:
        return Urls(**json.loads(((directory or state_dir()) / FILE_NAME).read_text()))
    except (OSError, ValueError, TypeError):
        return Urls()


def write(directory: Path, urls: Urls) -> None:
    """Replace the file in one step: a reader sees the old one or the new one."""
    path = directory / FILE_NAME
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(asdict(urls)))
    draft.replace(path)


@contextmanager
def starting(directory: Path) -> Iterator[None]:
    """Only one process at a time starts or stops the services of a state directory; others wait here."""
    with (directory / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class Use:
    """A share in the running services: the last one out stops them. The kernel takes it back from a killed process."""

    def __init__(self, directory: Path) -> None:
        self._file = (directory / "in-use").open("w")
        fcntl.flock(self._file, fcntl.LOCK_SH)

    def give_up(self) -> bool:
        """True when nobody else uses the services."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        else:
            return True
        finally:
            self._file.close()
