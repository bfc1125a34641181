"""A small template language for programs: whole lines that come and go, and values that keep their line's beginning.

%% if signed !timed        all of these facts hold; `a|b` is either, `!a` its opposite
%% elif …, %% else, %% end
# <<about>>                a value of several lines repeats what stands before it
"""

import re
from collections.abc import Iterator, Mapping

Facts = Mapping[str, str | bool]

_DIRECTIVE = re.compile(r"\s*%% (if|elif|else|end)(?: (.+))?")
_VALUE = re.compile(r"<<([a-z_0-9]+)>>")


def fill(template: str, facts: Facts) -> str:
    """The text with its facts. Raises KeyError for one that is not there. A line that is only an empty value goes."""
    lines: list[str] = []
    for line in _kept(template, facts):
        lines += _filled(line, facts)
    return "\n".join(lines) + "\n"


def _kept(template: str, facts: Facts) -> Iterator[str]:
    """The lines whose conditions hold. For each open `if`: whether it is written now, and whether a branch was."""
    open_ifs: list[tuple[bool, bool]] = []
    for line in template.splitlines():
        directive = _DIRECTIVE.fullmatch(line)
        if directive is None:
            if all(is_on for is_on, _ in open_ifs):
                yield line
            continue
        word, condition = directive.groups()
        if word == "if":
            is_on = _holds(condition, facts)
            open_ifs.append((is_on, is_on))
        elif word == "end":
            open_ifs.pop()
        else:
            _, was_on = open_ifs.pop()
            is_on = not was_on and (word == "else" or _holds(condition, facts))
            open_ifs.append((is_on, was_on or is_on))
    if open_ifs:
        raise ValueError("An if of the template has no end.")


def _holds(condition: str, facts: Facts) -> bool:
    return all(any(_is(term, facts) for term in either.split("|")) for either in condition.split())


def _is(term: str, facts: Facts) -> bool:
    return not facts[term[1:]] if term.startswith("!") else bool(facts[term])


def _filled(line: str, facts: Facts) -> list[str]:
    alone = re.fullmatch(rf"(.*?){_VALUE.pattern}", line)
    if alone is None or _VALUE.search(alone[1]):
        return [_VALUE.sub(lambda match: str(facts[match[1]]), line)]
    before, text = alone[1], str(facts[alone[2]])
    if not text and not before.strip():
        return []
    return [(before + row).rstrip() for row in text.split("\n")]
