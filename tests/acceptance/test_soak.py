"""The soak in its short form: `make soak` runs the long one."""

import random
from pathlib import Path

import pytest

from tests.acceptance.soak import soak

SECONDS = 60.0


@pytest.mark.acceptance
@pytest.mark.slow
def test_the_books_balance_after_a_minute_of_random_kills(tmp_path_factory: pytest.TempPathFactory) -> None:
    seed = random.randrange(1_000_000)
    directory: Path = tmp_path_factory.mktemp("s")
    assert soak(directory, seconds=SECONDS, seed=seed, say=print) == [], f"seed {seed}"
