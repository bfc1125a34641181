"""docs/guarantees.md promises nothing without a test that shows it."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"
TEXT = (DOCS / "guarantees.md").read_text()
PROMISES = re.findall(r"^- .*(?:\n  .*)*", TEXT, re.MULTILINE)
LINK = re.compile(r"\[`(test_\w+)`\]\(([^)]+)\)")


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise[2:40])
def test_every_promise_names_tests_that_exist(promise: str) -> None:
    links = LINK.findall(promise)
    assert links
    for name, path in links:
        assert re.search(rf"^ *def {name}\(", (DOCS / path).read_text(), re.MULTILINE), name


def test_there_is_no_other_kind_of_promise() -> None:
    assert len(PROMISES) > 30
    assert len(LINK.findall(TEXT)) == sum(len(LINK.findall(promise)) for promise in PROMISES) == TEXT.count("](")
