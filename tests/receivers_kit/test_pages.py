"""The pages under docs/receivers are what is generated now."""

from pathlib import Path

import pytest

from dispatcher.profiles.catalogue import PROFILES
from dispatcher.receivers import LANGUAGES
from dispatcher.receivers.__main__ import main
from dispatcher.receivers.pages import BEGIN, END, INDEX, pages, with_table, write

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "receivers"


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_s_page_is_up_to_date(name: str) -> None:
    """`python -m dispatcher.receivers write docs/receivers` makes it so."""
    page = f"{name}.md"
    assert (FOLDER / page).read_text("utf-8") == pages()[page]


def test_the_index_names_every_page_and_there_is_no_other() -> None:
    index = (FOLDER / INDEX).read_text("utf-8")
    assert with_table(index) == index
    assert all(f"]({page})" in index for page in pages())
    assert {file.name for file in FOLDER.iterdir()} == {INDEX, *pages()}


def test_a_page_has_a_program_in_every_language() -> None:
    for page in pages().values():
        assert [line[3:] for line in page.splitlines() if line.startswith("## ")] == [
            language.title for language in LANGUAGES.values()
        ]
        assert page.count("\n```") == 2 * len(LANGUAGES)


def test_writing_tells_what_has_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / INDEX).write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    assert main(["write", str(tmp_path)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(PROFILES) + 1
    assert (tmp_path / INDEX).read_text().startswith(f"before\n{BEGIN}\n\n| profile |")
    (tmp_path / "stripe.md").write_text("older")
    assert write(tmp_path) == [tmp_path / "stripe.md"]
    assert write(tmp_path) == []


def test_an_index_without_a_place_for_the_table_is_not_touched() -> None:
    with pytest.raises(ValueError, match="has no <!-- profiles:begin -->"):
        with_table("# Receivers\n")


@pytest.mark.parametrize("arguments", [[], ["write"], ["write", "/nowhere/at/all"], ["read", "."]])
def test_wrong_arguments_are_answered_with_the_right_ones(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err == "usage: python -m dispatcher.receivers write FOLDER\n"
