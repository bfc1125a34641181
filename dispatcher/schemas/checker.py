"""Takes or refuses a schema, and says whether a payload fits one that was taken."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from jsonschema_rs import RegexOptions, ValidationError, Validator, validator_for

from dispatcher.schemas.document import DIALECTS, Document, Schema, references, step
from dispatcher.schemas.work import TooMuchWork, check_work

MAX_SCHEMA_BYTES = 65_536
# As compact JSON. A schema of a hundred members with descriptions takes 10 to 20 KB.
MAX_PATTERN_BYTES = 262_144
# Of one compiled pattern; `^.{1,140}$` takes half of it. The engine does not backtrack, so its time grows with the text
# but not beyond: lookaround and backreferences are therefore refused.
MOST_FAULTS = 10

_PATTERNS = RegexOptions(size_limit=MAX_PATTERN_BYTES, dfa_size_limit=MAX_PATTERN_BYTES)


@dataclass(frozen=True, slots=True)
class SchemaFault:
    """What is wrong with a schema: a JSON pointer into it, a code for programs, a sentence for people."""

    pointer: str
    code: str
    message: str


def schema_faults(schema: Any) -> list[SchemaFault]:
    """Why a schema is refused; nothing when it is taken. Looks at nothing but the schema: no address is ever asked."""
    if not isinstance(schema, dict | bool):
        return [SchemaFault("", "wrong_type", "A JSON Schema is an object, or true or false.")]
    if len(json.dumps(schema, ensure_ascii=False, separators=(",", ":")).encode()) > MAX_SCHEMA_BYTES:
        return [SchemaFault("", "schema_too_large", f"A schema has at most {MAX_SCHEMA_BYTES} bytes.")]
    document = Document(schema)
    if document.dialect is None:
        known = ", ".join(DIALECTS)
        return [SchemaFault("/$schema", "unknown_dialect", f"$schema must be one of: {known}.")]
    return list(_deep_faults(document))[:MOST_FAULTS]


def _deep_faults(document: Document) -> Iterator[SchemaFault]:
    found = False
    for pointer, part in document.parts:
        for fault in _reference_faults(document, pointer, part):
            found = True
            yield fault
    if found:
        return
    try:
        compile_schema(document.root)
    except ValidationError as refusal:
        yield _compile_fault(refusal)
        return
    try:
        check_work(document)
    except TooMuchWork as trouble:
        yield SchemaFault("", "too_much_work", str(trouble))


def _reference_faults(document: Document, pointer: str, part: dict[str, Any]) -> Iterator[SchemaFault]:
    for keyword in ("$id", "id", "$schema"):
        # Inside, they would give the references below them another meaning. `id` had one in draft 4 only.
        if pointer and isinstance(part.get(keyword), str) and (keyword != "id" or document.dialect == 4):
            yield SchemaFault(f"{pointer}/{keyword}", "nested_schema", f"{keyword} may stand at the top only.")
    for keyword, reference in references(part).items():
        if not reference.startswith("#"):
            message = "A reference must stay inside of the schema, as #/$defs/name does. Nothing is fetched."
            yield SchemaFault(f"{pointer}/{keyword}", "remote_reference", message)
        elif document.find(reference) is None:
            message = "The reference leads to no schema."
            yield SchemaFault(f"{pointer}/{keyword}", "unknown_reference", message)


def _compile_fault(refusal: ValidationError) -> SchemaFault:
    pointer = "".join(step(str(name)) for name in refusal.instance_path)
    if refusal.kind.name == "format" and "regex" in refusal.message[-16:]:
        message = "No pattern that we take: lookaround, backreferences and very large repetitions are not."
        return SchemaFault(pointer, "invalid_pattern", message)
    return SchemaFault(pointer, "invalid_schema", "This is not what JSON Schema asks for here.")


def compile_schema(schema: Schema) -> Validator:
    """Raises jsonschema_rs.ValidationError. `offline`: whatever a reference names, nothing is fetched."""
    return validator_for(schema, offline=True, pattern_options=_PATTERNS, validate_formats=True)


class Checker:
    """A schema that was taken, ready to judge payloads."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self._validator = compile_schema(schema)

    def fits(self, value: Any) -> bool:
        return self._validator.is_valid(value)
