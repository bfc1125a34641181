"""docs/settings.md: every variable with its default as the settings read it, and what it means."""

from collections.abc import Iterator, Mapping

from config.docs import reads
from config.docs.markdown import code, table
from config.docs.variables import INTERNAL, INTRODUCTION, SECTIONS, Variable
from config.environment import Read

BOUNDLESS = 2**31 - 1
# The most that a setting without a reason for a limit may be; not worth telling.
NEVER_READ = Read("")


def documented() -> list[str]:
    return [variable.name for section in SECTIONS for variable in section.variables]


def page() -> str:
    """Raises LookupError where the settings and the words about them name different variables."""
    production, development = reads.in_production(), reads.in_development()
    _compare(production.keys() | development.keys())
    return "\n".join(_lines(production, development)).rstrip() + "\n"


def _compare(read: set[str]) -> None:
    told = {one.name for section in SECTIONS for one in section.variables if not one.elsewhere}
    if different := (read - INTERNAL.keys()) ^ told:
        raise LookupError(f"config/docs/variables.py and config/settings.py differ in {', '.join(sorted(different))}.")


def _lines(production: Mapping[str, Read], development: Mapping[str, Read]) -> Iterator[str]:
    yield from ("# Settings", "", INTRODUCTION, "")
    for section in SECTIONS:
        yield from (f"## {section.title}", "")
        if section.before:
            yield from (section.before, "")
        rows = [_row(variable, production, development) for variable in section.variables]
        yield from table(("variable", "default", "meaning"), rows)
        yield ""
        if section.after:
            yield from (section.after, "")


def _row(variable: Variable, production: Mapping[str, Read], development: Mapping[str, Read]) -> tuple[str, str, str]:
    read = production.get(variable.name) or development.get(variable.name) or NEVER_READ
    default = variable.default or _default(read, development.get(variable.name, read))
    return code(variable.name), default, f"{variable.meaning}{_bounds(read)}"


def _default(production: Read, development: Read) -> str:
    usual = _shown(production.default)
    return usual if production == development else f"{usual}; with `DEBUG` {_shown(development.default)}"


def _shown(default: str) -> str:
    return code(default) if default else "none"


def _bounds(read: Read) -> str:
    if read.choices and read.choices != ("true", "false"):
        *others, last = map(code, read.choices)
        return f" ({', '.join(others)} or {last})"
    if read.least is None or read.most is None or read.most == BOUNDLESS:
        return ""
    return f" ({read.least:g} to {read.most:g})"
