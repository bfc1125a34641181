"""Reads what a PromQL expression asks for: metrics, the labels it selects and groups by. Enough of the language for our
own dashboards and alerts; what it does not know it refuses."""

import re
from dataclasses import dataclass, field

TOKEN = re.compile(
    r"""\s*(?:
        (?P<text>"(?:[^"\\]|\\.)*")
      | (?P<range>\[[^\]]*\])
      | (?P<number>\d+(?:\.\d+)?(?:[smhd])?(?![\w]))
      | (?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
      | (?P<sign>=~|!~|!=|==|>=|<=|[-+*/%^<>=(){},])
    )""",
    re.VERBOSE,
)
CALLS = {"sum", "max", "min", "topk", "absent", "rate", "increase", "histogram_quantile"}
GROUPING = {"by", "without", "on", "ignoring"}
WORDS = {"and", "or", "unless", "bool"}
MATCH = {"=", "!=", "=~", "!~"}


class Unreadable(Exception):
    """It is no PromQL, or more of it than is known here."""


@dataclass
class Asked:
    """One expression's demands. `selected` are metric, label, how it is compared, and with what."""

    metrics: set[str] = field(default_factory=set)
    selected: list[tuple[str, str, str, str]] = field(default_factory=list)
    grouped: set[str] = field(default_factory=set)


def read(expression: str) -> Asked:
    """Raises Unreadable."""
    tokens = _tokens(expression)
    _check_brackets(tokens, expression)
    asked, position = Asked(), 0
    while position < len(tokens):
        position = _take(tokens, position, asked) + 1
    if not asked.metrics:
        raise Unreadable(f"asks for nothing: {expression}")
    return asked


def _take(tokens: list[tuple[str, str]], position: int, asked: Asked) -> int:
    """Note what stands at the position. Returns where it ends."""
    kind, text = tokens[position]
    following = tokens[position + 1][1] if position + 1 < len(tokens) else ""
    if kind != "name" or text in WORDS:
        if text == "{":
            raise Unreadable("a selector without a metric")
        return position
    if text in GROUPING:
        end = _find(tokens, position, ")")
        asked.grouped |= {word for one, word in tokens[position + 2 : end] if one == "name"}
        return end
    if text in CALLS:
        if following not in {"(", "by", "without"}:
            raise Unreadable(f"{text} is called with nothing")
        return position
    asked.metrics.add(text)
    if following != "{":
        return position
    end = _find(tokens, position, "}")
    asked.selected += _selected(text, tokens[position + 2 : end])
    return end


def _check_brackets(tokens: list[tuple[str, str]], expression: str) -> None:
    depth = 0
    for kind, text in tokens:
        if kind == "sign" and text in "()":
            depth += 1 if text == "(" else -1
        if depth < 0:
            break
    if depth:
        raise Unreadable(f"brackets that do not fit: {expression}")


def _tokens(expression: str) -> list[tuple[str, str]]:
    found, position = [], 0
    while expression[position:].strip():
        match = TOKEN.match(expression, position)
        if match is None:
            raise Unreadable(f"cannot be read from here: {expression[position:]}")
        found.append((str(match.lastgroup), match[match.lastgroup or 0]))
        position = match.end()
    return found


def _find(tokens: list[tuple[str, str]], start: int, sign: str) -> int:
    for position in range(start, len(tokens)):
        if tokens[position] == ("sign", sign):
            return position
    raise Unreadable(f"no {sign} comes")


def _selected(metric: str, tokens: list[tuple[str, str]]) -> list[tuple[str, str, str, str]]:
    """Metric, label, how it is compared, and with what."""
    found = []
    for position in range(0, len(tokens), 4):
        three = tokens[position : position + 3]
        if len(three) < 3:
            raise Unreadable(f"half a selector of {metric}: {tokens}")
        (kind, label), (_, comparison), (value_kind, value) = three
        if kind != "name" or comparison not in MATCH or value_kind != "text":
            raise Unreadable(f"no selector of {metric}: {tokens}")
        found.append((metric, label, comparison, value[1:-1]))
    return found
