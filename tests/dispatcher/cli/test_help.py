"""The commands themselves: help everywhere, a quick start, completion, what is installed."""

import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import entry_points
from shutil import which

import click
import pytest

from dispatcher.cli.main import COMMANDS, main, signet
from tests.dispatcher.cli.running import COMMAND, Signet

HEAVY = {
    "django",
    "rest_framework",
    "celery",
    "psycopg",
    "redis",
    "pycurl",
    "requests",
    "rich",
    "msgspec",
    "cryptography",
}


def commands() -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield (), signet
    yield from below((), signet)


def below(path: tuple[str, ...], group: click.Group) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from below((*path, name), command)


ALL = dict(commands())


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_helps(path: tuple[str, ...]) -> None:
    context = click.Context(ALL[path], info_name=" ".join(("signet", *path)))
    text = ALL[path].get_help(context)

    assert text.startswith(f"Usage: {' '.join(('signet', *path))}")
    assert ALL[path].help, "it says what it does"
    assert all(
        option.help for option in ALL[path].params if isinstance(option, click.Option) and option.name != "bucket"
    )


def test_there_are_so_many() -> None:
    assert len(ALL) == 37


@pytest.mark.parametrize("name", COMMANDS)
def test_the_overview_says_what_the_command_says_itself(name: str) -> None:
    command = ALL[(name,)]

    assert command.get_short_help_str(limit=200) == COMMANDS[name][1]


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["login", "--help"], ["events", "--help"]])
def test_help_answers_at_once_for_it_loads_little(arguments: list[str]) -> None:
    code = (
        "import sys; from dispatcher.cli.main import main\n"
        f"sys.argv = ['signet', *{arguments!r}]\n"
        "try: main()\n"
        "finally: print(sorted(set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert not [name for name in HEAVY if f"'{name}'" in done.stderr]
    assert done.stdout


def test_every_command_asks_for_json_the_same_way() -> None:
    leaves = {path: command for path, command in ALL.items() if not isinstance(command, click.Group)}
    without = {path for path, command in leaves.items() if "is_json" not in {param.name for param in command.params}}

    assert without == {("completion",)}


def test_it_is_installed_as_signet() -> None:
    (installed,) = [one for one in entry_points(group="console_scripts") if one.name == "signet"]

    assert installed.load() is main


def test_a_module_runs_it_as_well() -> None:
    done = subprocess.run([*COMMAND, "--version"], capture_output=True, text=True, check=True)

    assert done.stdout.startswith("signet ")


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["events", "list", "--limit", "0"], ["resend"], ["events", "list", "--since", "soon"]]
)
def test_wrong_usage_ends_with_2(stranger: Signet, arguments: list[str]) -> None:
    done = stranger(*arguments)

    assert (done.code, done.out) == (2, "")
    assert "Usage: signet" in done.err


@pytest.mark.parametrize(
    ("shell", "marks"),
    [
        ("bash", ["_signet_completion()", "complete -o nosort -F _signet_completion signet"]),
        ("zsh", ["#compdef signet", "compdef _signet_completion signet"]),
        ("fish", ["function _signet_completion", "complete --no-files --command signet"]),
    ],
)
def test_completion_scripts_are_what_their_shells_run(stranger: Signet, shell: str, marks: list[str]) -> None:
    done = stranger.ok("completion", shell)

    for mark in [*marks, "_SIGNET_COMPLETE="]:
        assert mark in done.out
    if which(shell):
        subprocess.run([shell, "-n"], input=done.out, text=True, check=True)


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("signet ev", ["events", "event-types"]),
        ("signet endpoints r", ["resume", "rotate"]),
        ("signet events list --st", ["--status"]),
        ("signet events list --status p", ["pending"]),
        ("signet completion ", ["bash", "zsh", "fish"]),
    ],
)
def test_the_shell_is_offered_what_fits(stranger: Signet, words: str, offered: list[str]) -> None:
    last = len(words.split(" ")) - 1
    done = stranger(_SIGNET_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(last))

    assert [line.split(",")[1] for line in done.out.splitlines()] == offered


def test_bash_completes_with_the_script(stranger: Signet) -> None:
    """The real shell, with the script sourced, asked as it asks when Tab is pressed."""
    assert which("bash")
    program = stranger.home.parent / "signet"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m dispatcher.cli.main "$@"\n')
    program.chmod(0o755)
    (stranger.home.parent / "script").write_text(stranger.ok("completion", "bash").out)
    asked = (
        f"PATH={program.parent}:$PATH; source {program.parent}/script; "
        "COMP_WORDS=(signet endpoints pa); COMP_CWORD=2; _signet_completion signet; printf '%s\\n' \"${COMPREPLY[@]}\""
    )

    done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=False, env=stranger.environment)

    assert done.stdout == "pause\n", done.stderr


def test_lazy_commands_are_where_they_are_said_to_be() -> None:
    for place, _ in COMMANDS.values():
        module, _, name = place.partition(":")
        assert isinstance(getattr(import_module(f"dispatcher.cli.{module}"), name), click.Command)
