"""Puts the table into the documents that show it, between two markers; all else in them stays as it is."""

from pathlib import Path

from tests.bench.processes import CHECKOUT
from tests.bench.report import Report

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"


def write(report: Report) -> list[str]:
    """The whole table for the document, the rows with marks for the README. A sentence for each that cannot take it."""
    tables = {
        CHECKOUT / "docs" / "performance.md": report.markdown(),
        CHECKOUT / "README.md": report.markdown(is_whole=False),
    }
    return [fault for path, table in tables.items() if (fault := _insert(path, table))]


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
