"""The tables of docs/reference/api.md: every route, every refusal, every outcome of an attempt."""

from collections.abc import Iterator, Mapping
from typing import Any

from config.api.openapi.document import AREAS, document
from config.api.openapi.routes import routes
from config.docs.markdown import code, table
from dispatcher.outcomes import UNCOUNTED, Reason
from dispatcher.words import ADVICE, WORDS

WHO = {"merchant": "merchant", "provider": "provider", "public": "everybody"}


def route_tables() -> Iterator[str]:
    """A section for each area of the API."""
    audiences = routes()
    for area in AREAS:
        yield from ("", f"### {area.name}", "", area.description, "")
        yield from table(
            ("route", "whose key", "what it does"),
            [
                (code(key), WHO[audiences[key].audience], operation.summary)
                for key, operation in area.operations.items()
            ],
        )


def refusal_table() -> Iterator[str]:
    yield from table(
        ("code", "status", "for example"),
        [(code(name), str(status), detail) for name, (status, detail) in sorted(_refusals().items())],
    )


def reason_table() -> Iterator[str]:
    yield from table(
        ("reason", "means", "what to do"),
        [
            (code(reason), WORDS[reason] + (" (uses up no try)" if reason in UNCOUNTED else ""), ADVICE.get(reason, ""))
            for reason in Reason
        ],
    )


def _refusals() -> Mapping[str, tuple[int, str]]:
    found: dict[str, tuple[int, str]] = {}
    for response in document()["components"]["responses"].values():
        for content in response["content"].values():
            for name, example in content["examples"].items():
                found.setdefault(name, _status_and_detail(example["value"]))
    return found


def _status_and_detail(problem: Mapping[str, Any]) -> tuple[int, str]:
    return problem["status"], problem["detail"]
