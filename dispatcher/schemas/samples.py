"""Makes a payload from a schema, the same one each time, and shows only what the validator takes."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from jsonschema_rs import ValidationError, Validator

from dispatcher.schemas.checker import Checker, compile_schema, schema_faults
from dispatcher.schemas.document import Document, Schema
from dispatcher.schemas.merging import Merged, both, merge, types_of
from dispatcher.schemas.scalars import number, texts

MOST_TRIES = 40
# For each of two kinds of samples, with all members and with only those that are asked for.
MOST_VALUES = 500
# In one sample; a try that needs more is given up.
MOST_DEPTH = 12
MOST_ITEMS = 50
_TWICE = 2
# How often a schema may stand inside itself where it is asked for; where it is not, it is left out.

_ORDER = ("object", "array", "string", "integer", "number", "boolean", "null")
_SIGNS = {
    "object": {"properties", "required", "additionalProperties", "patternProperties", "minProperties"},
    "array": {"items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains"},
    "string": {"minLength", "maxLength", "pattern", "format"},
    "number": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"},
}
# What tells of a type where none is named.
_ALONE = {*_SIGNS["string"], *_SIGNS["number"], "type", "enum", "const"}


class Impossible(Exception):
    """No value can be made on this way."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A value, which may be null."""

    value: Any


def make_sample(schema: Schema) -> Sample | None:
    """A payload that fits; None when the schema is none that we take, or when none is found."""
    if schema_faults(schema):
        return None
    checker = Checker(schema)
    for is_full in (True, False):
        choices: list[int] | None = []
        for _ in range(MOST_TRIES):
            attempt = _Attempt(Document(schema), choices or [], is_full=is_full)
            try:
                value = attempt.make(schema)
                if checker.fits(value):
                    return Sample(value)
            except (Impossible, RecursionError, ArithmeticError):
                pass
            choices = attempt.next_choices()
            if choices is None:
                break
    return None


class _Attempt:
    """One way through the choices that a schema leaves. `choices` says what was taken at each of the first of them."""

    def __init__(self, document: Document, choices: list[int], *, is_full: bool) -> None:
        self._document = document
        self._choices = choices
        self._is_full = is_full
        self._taken: list[tuple[int, int]] = []
        self._path: list[int] = []
        self._values = 0
        self._variant = 0

    def next_choices(self) -> list[int] | None:
        """The choices of the next attempt: the last one that has something left is moved on. None at the end."""
        for place in reversed(range(len(self._taken))):
            chosen, offered = self._taken[place]
            if chosen + 1 < offered:
                return [*(earlier for earlier, _ in self._taken[:place]), chosen + 1]
        return None

    def _choose(self, offered: list[Any]) -> Any:
        place = len(self._taken)
        chosen = self._choices[place] if place < len(self._choices) else 0
        self._taken.append((min(chosen, len(offered) - 1), len(offered)))
        return offered[min(chosen, len(offered) - 1)]

    def make(self, schema: Schema) -> Any:
        self._values += 1
        depth = len(self._path)
        if schema is False or self._values > MOST_VALUES or depth > MOST_DEPTH * 4:
            raise Impossible
        try:
            return self._make(self._whole(schema))
        finally:
            del self._path[depth:]

    def _whole(self, schema: Schema) -> Merged:
        """The schema with all that holds for the same value: its references, allOf, and one of each alternatives."""
        if not isinstance(schema, dict):
            if schema is False:
                raise Impossible
            return {}
        whole: Merged = {}
        for target in self._document.targets(schema):
            if self._path.count(id(target)) >= _TWICE:
                raise Impossible
            self._path.append(id(target))
            whole = merge(whole, self._whole(target))
        if whole and (self._document.dialect or 0) <= 7 and "$ref" in schema:
            return whole
        skipped = {"allOf", "anyOf", "oneOf", "if", "then", "else", "$ref", "$dynamicRef", "$recursiveRef", "not"}
        whole = merge(whole, {keyword: value for keyword, value in schema.items() if keyword not in skipped})
        for part in schema.get("allOf", ()):
            whole = merge(whole, self._whole(part))
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                whole = merge(whole, self._whole(self._choose(schema[keyword])))
        if "if" in schema and ("then" in schema or "else" in schema):
            yes = both(schema["if"], schema.get("then", True))
            whole = merge(whole, self._whole(self._choose([yes, schema.get("else", True)])))
        return whole

    def _make(self, schema: Merged) -> Any:
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            fitting = self._fitting(schema, schema["enum"])
            return fitting[self._variant % len(fitting)]
        given = [*([schema["default"]] if "default" in schema else []), *schema.get("examples", [])[:2]]
        if not self._variant and (fitting := self._fitting(schema, given, may_be_none=True)):
            kept = self._choose([*((value,) for value in fitting), None])
            if kept is not None:
                return kept[0]
        makers: dict[str, Callable[[Merged], Any]] = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "integer": lambda one: number(one, is_whole=True, variant=self._variant),
            "number": self._number,
            "boolean": lambda _: self._variant % 2 == 0,
            "null": lambda _: None,
        }
        return makers[self._choose(_types(schema))](schema)

    def _fitting(self, schema: Merged, values: Iterable[Any], *, may_be_none: bool = False) -> list[Any]:
        """Those of the values that pass what a schema asks for without looking into them."""
        validator = self._compile({name: schema[name] for name in _ALONE if name in schema})
        fitting = [value for value in values if validator.is_valid(value)]
        if not fitting and not may_be_none:
            raise Impossible
        return fitting

    def _compile(self, schema: Merged) -> Validator:
        root = self._document.root
        dialect = {"$schema": root["$schema"]} if isinstance(root, dict) and "$schema" in root else {}
        try:
            return compile_schema(dialect | schema)
        except ValidationError:  # two types that share nothing
            raise Impossible from None

    def _number(self, schema: Merged) -> float | int:
        """A whole one at first: most numbers are, and some alternatives tell both apart."""
        made = number(schema, is_whole=False, variant=self._variant)
        return made if "multipleOf" in schema else self._choose([made, made + 0.5])

    def _string(self, schema: Merged) -> str:
        found: str = self._fitting(schema, texts(schema, variant=self._variant))[0]
        return found

    def _object(self, schema: Merged) -> dict[str, Any]:
        required = schema.get("required", [])
        named = schema.get("properties", {})
        most = schema.get("maxProperties", MOST_VALUES)
        made: dict[str, Any] = {}
        for name in dict.fromkeys([*named, *required]):
            is_required = name in required
            spare = most - len(made) - len([other for other in required if other not in made])
            if is_required or (self._is_full and spare > 0):
                self._add(made, name, self._judge(schema, name), is_required=is_required)
        for name in [other for one in list(made) for other in schema.get("dependentRequired", {}).get(one, [])]:
            self._add(made, name, self._judge(schema, name), is_required=True)
        for count in range(1, MOST_ITEMS):
            if len(made) >= schema.get("minProperties", 0):
                break
            self._add(made, f"member{count}", self._judge(schema, f"member{count}"), is_required=True)
        return made

    def _add(self, made: dict[str, Any], name: str, schema: Schema, *, is_required: bool) -> None:
        if name in made:
            return
        is_inside_itself = any(self._path.count(id(target)) for target in self._document.targets(schema))
        if not is_required and (is_inside_itself or len(self._path) > MOST_DEPTH):
            return
        try:
            made[name] = self.make(schema)
        except Impossible:
            if is_required:
                raise

    def _judge(self, schema: Merged, name: str) -> Schema:
        """What holds for the member of this name."""
        found = [schema["properties"][name]] if name in schema.get("properties", {}) else []
        for pattern, judge in schema.get("patternProperties", {}).items():
            if self._compile({"pattern": pattern}).is_valid(name):
                found.append(judge)
        if not found:
            rest: Schema = schema.get("additionalProperties", True)
            return rest
        return found[0] if len(found) == 1 else {"allOf": found}

    def _array(self, schema: Merged) -> list[Any]:
        items = schema.get("items", True)
        prefix = items if isinstance(items, list) else schema.get("prefixItems", [])
        rest = schema.get("additionalItems", True) if isinstance(items, list) else items
        wanted = max(
            schema.get("minItems", 0), len(prefix), schema.get("minContains", 1 if "contains" in schema else 0)
        )
        if wanted > MOST_ITEMS:
            raise Impossible
        wanted = min(wanted or self._wish(rest), schema.get("maxItems", MOST_ITEMS))
        judges = [*prefix, *[rest] * MOST_ITEMS][: int(wanted)]
        if "contains" in schema:
            judges = [both(judge, schema["contains"]) for judge in judges]
        is_spread = schema.get("uniqueItems") is True
        made: list[Any] = []
        for position, judge in enumerate(judges):
            try:
                made.append(self._variation(judge, position if is_spread else 0))
            except Impossible:
                if position < schema.get("minItems", 0) or position < len(prefix):
                    raise
                break
        return made

    def _wish(self, judge: Schema) -> int:
        """One item to look at, unless it would be the schema inside itself."""
        is_inside_itself = any(self._path.count(id(target)) for target in self._document.targets(judge))
        return 0 if is_inside_itself or judge is False or judge is True or not self._is_full else 1

    def _variation(self, schema: Schema, variant: int) -> Any:
        outer, self._variant = self._variant, self._variant + variant
        try:
            return self.make(schema)
        finally:
            self._variant = outer


def _types(schema: Merged) -> list[str]:
    """The types to try, null last; guessed from the other keywords where none is named."""
    if "type" in schema:
        named = types_of(schema["type"])
        if not named:
            raise Impossible
        return sorted(named, key=lambda name: name == "null")
    return [name for name in _ORDER if _SIGNS.get(name, set()) & schema.keys()] or [
        "object" if not schema else "string"
    ]
