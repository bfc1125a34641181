"""Takes our pages apart: fenced blocks with their marks, headings, links."""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
PROGRAMS = ("console", "bash", "sh", "shell", "python")
# What a reader can be told to run.

_FENCE = re.compile(r"^```([^\n`]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[(?:[^\]\[]|\[[^\]]*\])*\]\(([^)\s]+)\)")
_SOURCE = re.compile(r"(?:src|srcset|href)=\"([^\"]+)\"")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
_CODE = re.compile(r"`[^`\n]*`")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block. Its first line is "```language mark name=value …"."""

    page: Path
    line: int
    language: str
    marks: Mapping[str, str]
    text: str

    @property
    def place(self) -> str:
        return f"{shown(self.page)}:{self.line}"


def shown(page: Path) -> str:
    return str(page.relative_to(ROOT))


def pages() -> list[Path]:
    return [README, *sorted(DOCS.rglob("*.md"))]


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text("utf-8")
    for found in _FENCE.finditer(text):
        language, *marks = found[1].split() or [""]
        pairs = {mark.partition("=")[0]: mark.partition("=")[2] for mark in marks}
        yield Block(page, text.count("\n", 0, found.start()) + 1, language, pairs, found[2])


def links(page: Path) -> list[str]:
    text = _FENCE.sub("", page.read_text("utf-8"))
    return _SOURCE.findall(text) + _LINK.findall(_CODE.sub("`", text))


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    found: set[str] = set()
    for heading in _HEADING.findall(_FENCE.sub("", page.read_text("utf-8"))):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
        kept = "".join(char for char in plain if char in " -_" or unicodedata.category(char)[0] in "LN")
        base = kept.strip().replace(" ", "-")
        number = sum(1 for one in found if one == base or one.startswith(f"{base}-"))
        found.add(base if base not in found else f"{base}-{number}")
    return found
