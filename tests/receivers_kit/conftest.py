"""What the tests of the receivers share: their programs, made and compiled once, and the client that sends."""

from collections.abc import Callable, Iterator
from contextlib import closing
from functools import cache

import pytest

from dispatcher.http import Client
from dispatcher.profiles.catalogue import PROFILES
from tests.receivers_kit.own_profiles import OWN
from tests.receivers_kit.programs import Programs
from tests.receivers_kit.sender import client


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Programs]:
    """By the language's name."""
    return cache(lambda language: Programs(language, {**PROFILES, **OWN}, tmp_path_factory.mktemp(language)))


@pytest.fixture(scope="module")
def curl() -> Iterator[Client]:
    with closing(client()) as made:
        yield made
