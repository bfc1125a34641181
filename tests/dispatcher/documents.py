"""The examples of our documents, for the tests that run them."""

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"
BASE_URL = "http://127.0.0.1:8000"
# Where the examples say that the platform is.


def blocks(document: str, language: str) -> list[str]:
    """Every fenced block of the language, in order."""
    text = (DOCS / document).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def languages(document: str) -> set[str]:
    return set(re.findall(r"^```(\w+)$", (DOCS / document).read_text(), re.MULTILINE))
