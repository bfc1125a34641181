"""The command `signet`: which commands there are, and with which code each ends.

A command's module is loaded when it is called, so that `--help` answers at once.
"""

import sys
from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

import click

from dispatcher.cli.exits import INTERRUPTED

COMMANDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "login": ("login:login", "Store an address and a key, after a look whether they work."),
        "logout": ("login:logout", "Forget a context and its key."),
        "contexts": ("login:contexts", "Several platforms or keys side by side."),
        "listen": ("listen:listen", "Receive deliveries here: verify, print and forward them."),
        "trigger": ("trigger:trigger", "Publish an event, or send a test event to an endpoint."),
        "events": ("events:events", "The delivery log."),
        "resend": ("events:resend", "Send an event again."),
        "endpoints": ("endpoints:endpoints", "Where deliveries go."),
        "event-types": ("event_types:event_types", "The catalogue of event types."),
        "replays": ("replays:replays", "Send many deliveries again."),
        "completion": ("completion:completion", "Print the script that completes commands in your shell."),
    }
)
# Where each is, and its line of help.


class LazyGroup(click.Group):
    """Knows its commands' names and lines without loading them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        found = COMMANDS.get(cmd_name)
        if found is None:
            return None
        module, _, name = found[0].partition(":")
        command: click.Command = getattr(import_module(f"dispatcher.cli.{module}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


def _print_version(ctx: click.Context, _param: click.Parameter, is_wanted: bool) -> None:  # noqa: FBT001 - click calls it
    if not is_wanted or ctx.resilient_parsing:
        return
    from importlib.metadata import version

    click.echo(f"signet {version('signet-webhooks')}")
    ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_print_version, help="Print it and exit."
)
def signet() -> None:
    """Webhooks from a developer's terminal.

    `signet login` stores an address and a key; SIGNET_API_URL and SIGNET_API_KEY go before what is stored. On a
    terminal the output is for people; in a pipe it is one tab-separated line for each object, and with --json one
    JSON object.

    Exit codes: 0 done, 1 refused by the platform, 2 wrong usage, 3 no answer, 130 Ctrl-C.
    """


def main() -> None:
    """What the installed script calls."""
    try:
        code = signet.main(prog_name="signet", standalone_mode=False)
    except click.ClickException as refusal:
        refusal.show()
        sys.exit(refusal.exit_code)
    except click.Abort:
        sys.exit(INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
