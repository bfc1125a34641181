"""The command line of somebody who is logged in."""

from pathlib import Path

import pytest

from tests.dispatcher.cli.running import Signet
from tests.dispatcher.conftest import Shop


@pytest.fixture
def stranger(tmp_path: Path) -> Signet:
    """Nobody has logged in."""
    return Signet(tmp_path / "config")


@pytest.fixture
def signet(shop: Shop, tmp_path: Path) -> Signet:
    """With the merchant's key."""
    return Signet(tmp_path / "config", {"SIGNET_API_URL": shop.url, "SIGNET_API_KEY": shop.key})


@pytest.fixture
def as_provider(shop: Shop, tmp_path: Path) -> Signet:
    return Signet(tmp_path / "config", {"SIGNET_API_URL": shop.url, "SIGNET_API_KEY": shop.stack.key})
