"""Which pages are generated, in whole or between markers, and how they are brought up to date."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from config.docs import api_tables, commands_page, settings_page

WHOLE: Mapping[str, Callable[[], str]] = {
    "settings.md": settings_page.page,
    "reference/commands.md": commands_page.page,
}
PARTS: Mapping[str, Mapping[str, Callable[[], Iterator[str]]]] = {
    "reference/api.md": {
        "routes": api_tables.route_tables,
        "refusals": api_tables.refusal_table,
        "reasons": api_tables.reason_table,
    },
}
# Of these pages only what stands between `<!-- name:begin -->` and `<!-- name:end -->`.


def pages(folder: Path) -> dict[Path, str]:
    """The text of each page as it should be. Raises ValueError where a page has no place for its part."""
    made = {folder / name: make() for name, make in WHOLE.items()}
    return made | {folder / name: _filled(folder / name, parts) for name, parts in PARTS.items()}


def write(folder: Path) -> list[Path]:
    """The files that are new or other than before."""
    texts = pages(folder)
    changed = [file for file, text in texts.items() if not file.exists() or file.read_text("utf-8") != text]
    for file in changed:
        file.parent.mkdir(exist_ok=True)
        file.write_text(texts[file], "utf-8")
    return changed


def _filled(file: Path, parts: Mapping[str, Callable[[], Iterator[str]]]) -> str:
    text = file.read_text("utf-8")
    for name, lines in parts.items():
        text = with_part(text, name, "\n".join(lines()).strip())
    return text


def with_part(text: str, name: str, part: str) -> str:
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    before, found, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found or not found_end:
        raise ValueError(f"The page has no {begin} and {end}.")
    return f"{before}{begin}\n\n{part}\n\n{end}{after}"
