"""How much work a check against a schema can be, worked out before the schema is taken.

Every value in a payload is judged by the subschemas that reach its place: those that stand there, and those that their
references lead to, once for each way they are reached. The weight of the heaviest place, times the values in a payload,
bounds the time of a check. Subschemas that contain themselves count once, however often they are reached: the validator
remembers what it found for them.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from dispatcher.schemas.document import HERE, IDLE, Document, Schema, places
from dispatcher.strict_json import MAX_DEPTH

MOST_WEIGHT = 5_000
# One unit takes the validator about 6 ns; a payload of 256 KiB holds up to 131,072 values.
PATTERN_WEIGHT = 600
# The worst pattern that we found takes 1.7 s for 256 KiB of text, ordinary ones below 1 ms. A place has at most eight.
ENUM_WEIGHT = 15
# Of an object or list among the values of `enum`: each is compared with each value. Texts and numbers are looked up.
LONGEST_CHAIN = 100
# References and subschemas that lead to each other without going into the value.
MOST_STEPS = 200_000
# Of this search, about 1 µs each. A schema of 500 objects with 20 members each takes 10,000.

_CATCHING = ("patternProperties", "additionalProperties", "unevaluatedProperties")

_State = tuple[tuple[int, int], ...]
# How often each subschema, by its number, is applied to a place.


class TooMuchWork(ValueError):
    """The schema could keep a check busy for too long, or for ever. The sentence says why."""


def check_work(document: Document) -> None:
    """Raises TooMuchWork."""
    _Search(document).run()


class _Search:
    """Visits the places that a value can have, each told by the subschemas that are applied to it."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._schemas = [schema for _, schema in document.parts]
        self._numbers = {id(schema): number for number, schema in enumerate(self._schemas)}
        self._weights = [_weight(schema) for schema in self._schemas]
        self._here: dict[int, Counter[int]] = {}
        self._steps = 0
        self._recursive = _on_a_circle([self._edges(schema) for schema in self._schemas])

    def run(self) -> None:
        seen: set[_State] = set()
        level = {self._settle([self._document.root])}
        for _ in range(MAX_DEPTH + 1):
            level -= seen
            if not level:
                return
            seen |= level
            level = {self._settle(below) for state in level for below in self._parts_of(state)}

    def _settle(self, schemas: Iterable[Schema]) -> _State:
        """All that is applied where these are. Raises TooMuchWork for a place that is too heavy."""
        counts: Counter[int] = Counter()
        for schema in schemas:
            if number := self._number(schema):
                counts.update(self._closure(number - 1, ()))
        for number in counts.keys() & self._recursive:
            counts[number] = 1
        self._step(len(counts))
        if sum(self._weights[number] * count for number, count in counts.items()) > MOST_WEIGHT:
            raise TooMuchWork("Too many subschemas, patterns or listed values judge the same value.")
        return tuple(sorted(counts.items()))

    def _closure(self, number: int, path: tuple[int, ...]) -> Counter[int]:
        if number in path:
            raise TooMuchWork("A reference leads back to where it stands: judging a value would never end.")
        if len(path) > LONGEST_CHAIN:
            raise TooMuchWork("References and subschemas lead to each other in too long a chain.")
        if number not in self._here:
            schema = self._schemas[number]
            counts: Counter[int] = Counter({number: 1})
            held = [place.schema for place in places(schema) if place.keyword in HERE]
            for below in [*held, *self._document.targets(schema)]:
                if found := self._number(below):
                    reached = self._closure(found - 1, (*path, number))
                    self._step(len(reached))
                    counts.update(reached)
            self._here[number] = counts
        return self._here[number]

    def _parts_of(self, state: _State) -> Iterator[list[Schema]]:
        """The subschemas for each part that a value in this place can have."""
        # More often than this is too heavy anyway.
        schemas = [self._schemas[number] for number, count in state for _ in range(min(count, MOST_WEIGHT))]
        yield from self._members(schemas)
        yield [schema["propertyNames"] for schema in schemas if "propertyNames" in schema]
        for position in range(max((len(_prefix(schema)) for schema in schemas), default=0) + 1):
            self._step(len(schemas))
            yield [found for schema in schemas for found in _item(schema, position)]

    def _members(self, schemas: list[dict[str, Any]]) -> Iterator[list[Schema]]:
        """For each name in `properties`, and for all others together. Which patterns a name fits is not asked."""
        naming: dict[str, list[dict[str, Any]]] = {}
        for schema in schemas:
            for name in _map(schema, "properties"):
                naming.setdefault(name, []).append(schema)
        catching = [schema for schema in schemas if any(keyword in schema for keyword in _CATCHING)]
        for name, those in naming.items():
            self._step(len(those) + len(catching))
            others = [schema for schema in catching if name not in _map(schema, "properties")]
            patterned = [found for schema in those for found in _map(schema, "patternProperties").values()]
            yield [*(schema["properties"][name] for schema in those), *patterned, *_caught(others)]
        yield _caught(catching)

    def _edges(self, schema: Schema) -> list[int]:
        held = [place.schema for place in places(schema) if place.keyword not in IDLE]
        numbers = [self._number(below) for below in [*held, *self._document.targets(schema)]]
        return [number - 1 for number in numbers if number]

    def _number(self, schema: Schema) -> int:
        """Counted from one; none for true and false."""
        return self._numbers[id(schema)] + 1 if id(schema) in self._numbers else 0

    def _step(self, count: int) -> None:
        self._steps += count + 1
        if self._steps > MOST_STEPS:
            raise TooMuchWork("The schema is too entangled: its subschemas meet in too many ways.")


def _weight(schema: dict[str, Any]) -> int:
    options = schema.get("enum")
    listed = options if isinstance(options, list) else []
    patterns = ("pattern" in schema) + len(_map(schema, "patternProperties"))
    return (
        1
        + PATTERN_WEIGHT * patterns
        + ENUM_WEIGHT * sum(isinstance(option, dict | list) for option in listed)
        + len(_map(schema, "dependentRequired"))
    )


def _map(schema: dict[str, Any], keyword: str) -> dict[str, Any]:
    held = schema.get(keyword)
    return held if isinstance(held, dict) else {}


def _prefix(schema: dict[str, Any]) -> list[Any]:
    held = schema.get("prefixItems", schema.get("items"))
    return held if isinstance(held, list) else []


def _caught(schemas: list[dict[str, Any]]) -> list[Schema]:
    """What judges a member that no `properties` of theirs names."""
    patterned = [found for schema in schemas for found in _map(schema, "patternProperties").values()]
    return [*patterned, *(schema[key] for key in _CATCHING[1:] for schema in schemas if key in schema)]


def _item(schema: dict[str, Any], position: int) -> Iterator[Schema]:
    prefix = _prefix(schema)
    if position < len(prefix):
        yield prefix[position]
    else:
        rest = ("additionalItems", "unevaluatedItems", "items")
        yield from (schema[key] for key in rest if isinstance(schema.get(key), dict))
    if "contains" in schema:
        yield schema["contains"]


def _on_a_circle(edges: list[list[int]]) -> set[int]:
    """The numbers from which edges lead back to themselves: one search for each, in both directions (Kosaraju)."""
    order: list[int] = []
    seen: set[int] = set()
    for start in range(len(edges)):
        _walk(start, edges, seen, order)
    backwards: list[list[int]] = [[] for _ in edges]
    for number, targets in enumerate(edges):
        for target in targets:
            backwards[target].append(number)
    circles: set[int] = set()
    seen = set()
    for start in reversed(order):
        group: list[int] = []
        _walk(start, backwards, seen, group)
        if len(group) > 1 or start in edges[start]:
            circles.update(group)
    return circles


def _walk(start: int, edges: list[list[int]], seen: set[int], done: list[int]) -> None:
    """Depth first without recursion; numbers are appended once all behind them are done."""
    if start in seen:
        return
    seen.add(start)
    path = [(start, iter(edges[start]))]
    while path:
        number, targets = path[-1]
        following = next((target for target in targets if target not in seen), None)
        if following is None:
            done.append(number)
            path.pop()
        else:
            seen.add(following)
            path.append((following, iter(edges[following])))
