"""Short ways to write JSON Schema: what requests may hold is taken from the checks that judge them."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from dispatcher.ids import ALPHABET, TEXT_LENGTH, Prefix
from subscriptions.services import shapes

Schema = dict[str, Any]

NULL: Schema = {"type": "null"}
ANY: Schema = {}
BOOLEAN: Schema = {"type": "boolean"}
OBJECT: Schema = {"type": "object"}
NO_NUL = r"^[^\u0000]*$"
# Of texts about which nothing else is known: U+0000 is refused everywhere.
MOMENT = "2026-01-31T12:00:00Z"
ID_TAIL = "01kfxwm9jceesrtq0733vx0g8y"


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def text(example: str, description: str = "", **rules: Any) -> Schema:
    return told({"type": "string", **rules, "examples": [example]}, description)


def whole(example: int, description: str = "", *, least: int = 0, most: int | None = None) -> Schema:
    most_rule = {} if most is None else {"maximum": most}
    return told({"type": "integer", "minimum": least, **most_rule, "examples": [example]}, description)


def number(example: float, description: str = "") -> Schema:
    return told({"type": "number", "minimum": 0, "examples": [example]}, description)


def flag(description: str = "", *, example: bool = False) -> Schema:
    return told({"type": "boolean", "examples": [example]}, description)


def choice(options: Iterable[str], description: str = "", *, example: str | None = None) -> Schema:
    known = [str(option) for option in options]
    return told({"type": "string", "enum": known, "examples": [example or known[0]]}, description)


def moment(description: str = "", *, example: str = MOMENT) -> Schema:
    return told({"type": "string", "format": "date-time", "examples": [example]}, description)


def an_id(prefix: Prefix, description: str = "") -> Schema:
    pattern = f"^{prefix.value}_[0-7][{ALPHABET}]{{{TEXT_LENGTH - 1}}}$"
    return text(f"{prefix.value}_{ID_TAIL}", description, pattern=pattern)


def anything(example: Any, description: str = "") -> Schema:
    return told({"examples": [example]}, description)


def an_object(example: Mapping[str, Any], description: str = "") -> Schema:
    return told({"type": "object", "examples": [dict(example)]}, description)


def list_of(items: Schema, description: str = "", *, example: list[Any] | None = None) -> Schema:
    examples = {} if example is None else {"examples": [example]}
    return told({"type": "array", "items": items, **examples}, description)


def or_null(schema: Schema, *, is_null: bool = False) -> Schema:
    """`is_null`: the example is null, as it mostly is."""
    examples = {"examples": [None]} if is_null else {}
    return {"anyOf": [schema, NULL], **examples}


def record(members: Mapping[str, Schema], *, optional: Collection[str] = (), description: str = "") -> Schema:
    """An object as the API shows it: every member is there unless it is `optional`."""
    required = [name for name in members if name not in optional]
    return told({"type": "object", "properties": dict(members), "required": required}, description)


def page_of(items: Schema) -> Schema:
    cursor = or_null(text("MDEyMzQ1Njc4OWFi", "Give it as `cursor` to read on."), is_null=True)
    return record({"data": list_of(items), "next_cursor": cursor})


def request(
    shape: shapes.Shape,
    *,
    required: Iterable[str] = (),
    instead: Mapping[str, Schema] | None = None,
    say: Mapping[str, str] | None = None,
) -> Schema:
    """What a shape takes. `instead` holds the rules of those checks that do not tell theirs; `say` describes members.

    Raises LookupError for a check whose rule is known to nobody, and for words about members that are not there.
    """
    known, said = dict(instead or {}), say or {}
    if strange := {*known, *said} - set(shape):
        raise LookupError(f"no such members: {', '.join(sorted(strange))}")
    members = {name: _rule(name, check, known) for name, check in shape.items()}
    properties = {name: told(rule, said.get(name, "")) for name, rule in members.items()}
    return {
        "type": "object",
        "properties": properties,
        "required": sorted(required),
        "additionalProperties": False,
    }


def parameter(check: shapes.Check) -> Schema:
    """What a check takes of a query parameter, which is always text."""
    return _rule("parameter", check, {})


def told(schema: Schema, description: str) -> Schema:
    return {**schema, "description": description} if description else schema


def _rule(name: str, check: shapes.Check, instead: Mapping[str, Schema]) -> Schema:
    found = instead.get(name, shapes.schema_of(check))
    if found is None:
        raise LookupError(f"the check of {name} does not tell its rule: say it with `instead`")
    return found


def example_of(schema: Schema, components: Mapping[str, Schema]) -> Any:
    """An example that is put together from those of the parts."""
    if "$ref" in schema:
        return example_of(components[schema["$ref"].rpartition("/")[2]], components)
    if "examples" in schema:
        return schema["examples"][0]
    if "const" in schema:
        return schema["const"]
    for word in ("oneOf", "anyOf"):
        if word in schema:
            return example_of(schema[word][0], components)
    if "properties" in schema:
        shown = schema.get("required") or schema["properties"]
        return {name: example_of(schema["properties"][name], components) for name in shown}
    if schema.get("type") == "array":
        return [example_of(schema["items"], components)]
    raise LookupError(f"no example in {schema}")
