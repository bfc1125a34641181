"""Reads what somebody typed into a field or an address."""

from django.http import QueryDict

LONGEST = 1_000
# Characters; what is longer is no search and no name.


def read_text(fields: QueryDict, name: str) -> str:
    """Without what stands around it, and without U+0000, which Postgres does not take; empty when it is not there."""
    return fields.get(name, "").replace("\x00", "").strip()[:LONGEST]
