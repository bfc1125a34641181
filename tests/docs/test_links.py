"""Every link between our pages leads somewhere, and every page can be found from the index."""

from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.docs.markdown import DOCS, README, ROOT, anchors, links, pages, shown

INDEX = DOCS / "README.md"
FOREIGN = ("https://", "http://", "mailto:")


def target(page: Path, link: str) -> tuple[Path, str]:
    path, _, anchor = unquote(link).partition("#")
    return (page.parent / path).resolve() if path else page, anchor


@pytest.mark.parametrize("page", pages(), ids=shown)
def test_every_link_leads_to_a_file_and_a_heading_that_are_there(page: Path) -> None:
    broken = []
    for link in links(page):
        if link.startswith(FOREIGN):
            continue
        file, anchor = target(page, link)
        if not file.is_relative_to(ROOT) or not file.exists():
            broken.append(f"{link}: no such file")
        elif anchor and anchor not in anchors(file):
            broken.append(f"{link}: no such heading")
    assert broken == []


def test_every_page_is_found_from_the_index_in_two_steps() -> None:
    def named(page: Path) -> set[Path]:
        return {target(page, link)[0] for link in links(page) if not link.startswith(FOREIGN)}

    first = {page for page in named(INDEX) if page.suffix == ".md"} | {INDEX}
    second = set().union(*(named(page) for page in first))
    # A folder that is linked to shows what is in it.
    folders = {folder for folder in first | second | named(INDEX) if folder.is_dir()}
    missing = [page for page in pages() if page not in first | second and page.parent not in folders]
    assert [shown(page) for page in missing if page != README] == []
