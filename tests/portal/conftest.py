"""One platform and one Chromium for all tests of the portal, a fresh window for each."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.portal.site import Site, open_site
from tests.portal.surfing import Surfer, browsing, window
from tests.security.browser import program

Open = Callable[..., Surfer]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    if program() is None:
        pytest.skip("no Chromium here: install the package `chromium`")
    with browsing() as browser:
        yield browser


@pytest.fixture(scope="session")
def site(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with open_site(tmp_path_factory.mktemp("p")) as made:
        yield made


@pytest.fixture
def surf(chromium: Browser, site: Site) -> Iterator[Open]:
    """Open a window, signed in as the shop's owner unless `name` says otherwise, or is empty."""
    with ExitStack() as open_windows:

        def make(*, name: str = "ann", **options: Any) -> Surfer:
            made = open_windows.enter_context(window(chromium, site, **options))
            return made.sign_in(name) if name else made

        yield make
