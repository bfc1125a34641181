"""A platform that may be hurt, its receiver and its provider."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.acceptance.provider import Provider
from tests.acceptance.recorder import Recorder
from tests.acceptance.stack import running_stack

Start = Callable[..., Provider]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Start a platform with these settings; it runs until the module's tests are over."""
    with _starting(tmp_path_factory) as begin:
        yield begin


@pytest.fixture
def start_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """The same, until the test is over."""
    with _starting(tmp_path_factory) as begin:
        yield begin


@contextmanager
def _starting(directories: pytest.TempPathFactory) -> Iterator[Start]:
    with ExitStack() as running:

        def begin(**settings: str) -> Provider:
            # Short names: a Unix socket's path has at most 107 bytes.
            directory = directories.mktemp("s")
            stack = running.enter_context(running_stack(directory, **settings))
            return Provider(stack, running.enter_context(Recorder(directory)))

        yield begin
