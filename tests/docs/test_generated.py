"""The generated pages are what is generated now."""

import re
from pathlib import Path

import pytest

from config.docs.__main__ import main
from config.docs.pages import pages, with_part
from config.docs.settings_page import documented
from config.docs.variables import INTERNAL
from dispatcher.profiles.catalogue import PROFILES
from tests.docs.markdown import DOCS, ROOT

SOURCES = ("config", "deliveries", "subscriptions", "dispatcher")
READ = re.compile(r"\bos\.environ(?:\.get\(|\[)\s*\"([A-Z_]+)\"")
NOT_OURS = {"DJANGO_SETTINGS_MODULE", "SSLKEYLOGFILE", "PATH"}


def test_settings_commands_and_tables_are_up_to_date() -> None:
    """`python -m config.docs write docs` makes it so."""
    stale = [str(file.relative_to(DOCS)) for file, text in pages(DOCS).items() if file.read_text("utf-8") != text]
    assert stale == []


def test_a_variable_that_is_read_beside_the_settings_is_documented_or_known_to_be_internal() -> None:
    texts = [file.read_text("utf-8") for folder in SOURCES for file in (ROOT / folder).rglob("*.py")]
    read = {name for text in texts for name in READ.findall(text)}
    assert read - NOT_OURS - set(documented()) - INTERNAL.keys() == set()
    assert "PROMETHEUS_MULTIPROC_DIR" in read


def test_the_number_of_formats_is_the_one_that_is_told() -> None:
    assert len(PROFILES) == 21
    assert "Twenty-one come" in (ROOT / "README.md").read_text("utf-8")
    assert "Twenty-one come" in (DOCS / "concepts.md").read_text("utf-8")


def test_what_stands_around_a_part_stays() -> None:
    assert with_part("a\n<!-- x:begin -->\nold\n<!-- x:end -->\nb", "x", "new") == (
        "a\n<!-- x:begin -->\n\nnew\n\n<!-- x:end -->\nb"
    )
    with pytest.raises(ValueError, match="has no <!-- x:begin -->"):
        with_part("nothing", "x", "new")


@pytest.mark.parametrize("arguments", [[], ["write"], ["write", "/nowhere/at/all"], ["read", "."]])
def test_wrong_arguments_are_answered_with_the_right_ones(
    arguments: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err == "usage: python -m config.docs write FOLDER\n"
