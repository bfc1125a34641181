"""Puts the table into the documents that show it, between two markers; all else in them stays as it is."""

from pathlib import Path

from tests.bench.processes import CHECKOUT

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
DOCUMENTS = (CHECKOUT / "docs" / "performance.md", CHECKOUT / "README.md")


def write(table: str) -> list[str]:
    """Returns a sentence for each document that could not take the table."""
    return [fault for path in DOCUMENTS if (fault := _insert(path, table))]


def _insert(path: Path, table: str) -> str:
    try:
        text = path.read_text()
    except FileNotFoundError:
        return f"{path.name} does not exist."
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        return f"{path.name} has no {BEGIN} and {END}."
    path.write_text(f"{head}{BEGIN}\n\n{table}\n\n{END}{tail}")
    return ""
