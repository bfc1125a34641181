"""The words that the catalogues' schemas are written in. Source of the vocabulary: JSON Schema 2020-12."""

from collections.abc import Collection
from typing import Any

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"

TEXT: Schema = {"type": "string", "minLength": 1}
WHOLE: Schema = {"type": "integer", "minimum": 0}
AMOUNT: Schema = {"type": "string", "pattern": r"^-?[0-9]+\.[0-9]{2}$"}
# A text, as in many payment APIs: no reader can lose a cent to floating point.
POSITIVE_AMOUNT: Schema = {"type": "string", "pattern": r"^[0-9]+\.[0-9]{2}$"}
CURRENCY: Schema = {"type": "string", "pattern": "^[A-Z]{3}$"}
MOMENT: Schema = {"type": "string", "format": "date-time"}
UUID: Schema = {"type": "string", "format": "uuid"}


def payload(properties: Schema, *, required: Collection[str], is_closed: bool = False) -> Schema:
    """An object with at least the required members. A closed one has no others than are named here."""
    schema: Schema = {
        "$schema": DIALECT,
        "type": "object",
        "properties": properties,
        "required": list(required),
    }
    return {**schema, "additionalProperties": False} if is_closed else schema


def one_of(*values: str | int) -> Schema:
    return {"enum": list(values)}


def always(value: str | int) -> Schema:
    return {"const": value}
