"""State directories of their own for tests that start embedded services; the real web process."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from config.embedded.services import Services
from tests.config.web import Web, running, seed


@pytest.fixture
def state_dir() -> Iterator[Path]:
    """Short, as socket paths must be, and gone afterwards with all that was started in it."""
    directory = Path(tempfile.mkdtemp(prefix="signet-case-"))
    yield directory
    services = Services(directory, is_durable=False)
    services.stop()
    services.erase()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def embedded(state_dir: Path) -> Iterator[Callable[..., Services]]:
    """Makes the services of a state directory, and stops and erases them after the test."""
    made: list[Services] = []

    def make(directory: Path = state_dir) -> Services:
        made.append(Services(directory, is_durable=False))
        return made[-1]

    yield make
    living = [services for services in made if services.directory.exists()]
    for services in living:
        services.stop()
    for services in living:
        services.erase()


@pytest.fixture
def make_web(db: None) -> Callable[..., AbstractContextManager[Web]]:
    """Starts a web process; names are variables of its environment."""
    return partial(running, seed())


@pytest.fixture
def web(make_web: Callable[..., AbstractContextManager[Web]]) -> Iterator[Web]:
    with make_web() as made:
        yield made
