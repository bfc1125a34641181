"""docs/client.md: every example runs, in order, as one program."""

from typing import Any

import pytest

from tests.dispatcher.conftest import Shop
from tests.dispatcher.documents import BASE_URL, blocks, languages

DOCUMENT = "client.md"


def test_every_block_is_python() -> None:
    assert languages(DOCUMENT) == {"python"}
    assert len(blocks(DOCUMENT, "python")) == 10


@pytest.mark.acceptance
def test_the_examples_do_what_they_say(acme: Shop) -> None:
    names: dict[str, Any] = {"PROVIDER_KEY": acme.stack.key, "MERCHANT_KEY": acme.key}

    for number, block in enumerate(blocks(DOCUMENT, "python"), 1):
        exec(compile(block.replace(BASE_URL, acme.url), f"{DOCUMENT}, block {number}", "exec"), names)

    names["provider"].close()
    names["merchant"].close()
