"""docs/reference/commands.md: every target of make and every command of manage.py, in their own words."""

import re
from argparse import Action, HelpFormatter
from collections.abc import Iterator

from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand, CommandParser

from config.docs.markdown import code, table
from config.embedded.state import CHECKOUT

OURS = ("config", "deliveries", "subscriptions")
WIDE = 10_000
# Columns: a usage is one line, however long.
INTRODUCTION = """\
Generated from the Makefile and from the commands themselves by `python -m config.docs write docs`.

The commands run where the platform runs: `.venv/bin/python manage.py …` in a checkout, `docker compose exec web python
manage.py …` in an installation. They need the same [settings](../settings.md) as the platform; in a checkout that
`make run` serves, `DEBUG=true` is enough. `manage.py help <command>` says the same as this page. What developers of
merchants and providers use from their own machines is [the command line `signet`](../cli.md)."""


class _Wide(HelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=WIDE)


def page() -> str:
    return "\n".join(_lines()) + "\n"


def commands() -> list[tuple[str, BaseCommand]]:
    """Those that this platform brings, or brings instead of Django's."""
    ours = ((name, app) for name, app in get_commands().items() if app in OURS or app.startswith("config."))
    return [(name, load_command_class(app, name)) for name, app in sorted(ours)]


def _lines() -> Iterator[str]:
    yield from ("# Commands", "", INTRODUCTION, "", "## make", "")
    yield from table(("target", "does"), _targets())
    yield from ("", "`ARGS='…'` hands arguments on to the program behind a target.", "", "## manage.py", "")
    found = commands()
    yield from table(
        ("command", "does"), [(f"[`{name}`](#{name})", _first_sentence(command.help)) for name, command in found]
    )
    for name, command in found:
        yield from ("", f"### {name}", "", command.help)
        yield from _arguments(name, command)


def _targets() -> list[tuple[str, str]]:
    found = re.findall(r"^([a-z]+):.*## (.*)$", (CHECKOUT / "Makefile").read_text("utf-8"), re.MULTILINE)
    return [(code(f"make {target}"), words) for target, words in found]


def _first_sentence(text: str) -> str:
    return re.split(r"[.:;] ", text, maxsplit=1)[0].rstrip(".")


def _arguments(name: str, command: BaseCommand) -> Iterator[str]:
    """Without those that every command of Django has."""
    parser = CommandParser(prog=f"manage.py {name}", add_help=False, formatter_class=_Wide)
    if "add_arguments" in vars(type(command)):
        command.add_arguments(parser)
    yield from ("", code(parser.format_usage().removeprefix("usage: ").strip()))
    actions = parser._actions  # noqa: SLF001 - argparse has no other way to ask
    if actions:
        yield ""
        yield from table(("argument", "meaning"), [(_shown(action), _meaning(action)) for action in actions])


def _shown(action: Action) -> str:
    """With what an option takes, if it takes something."""
    value = str(action.metavar or (action.dest if not action.option_strings else action.dest.upper()))
    if not action.option_strings:
        return code(value)
    takes = "" if action.nargs == 0 else f" {value}"
    return ", ".join(code(f"{name}{takes}") for name in action.option_strings)


def _meaning(action: Action) -> str:
    words = [action.help or ""]
    if action.choices is not None:
        words.append("one of " + ", ".join(code(str(choice)) for choice in action.choices))
    is_worth_telling = isinstance(action.default, str | int | float) and not isinstance(action.default, bool)
    if is_worth_telling and "default" not in words[0]:
        words.append(f"default {code(_number(action.default))}")
    return "; ".join(filter(None, words))


def _number(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
