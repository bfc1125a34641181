"""`completion`: the script that lets a shell complete our commands."""

import click

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that completes commands in your shell.

    \b
    bash:  signet completion bash > ~/.local/share/bash-completion/completions/signet
    zsh:   signet completion zsh > a directory of $fpath, as _signet
    fish:  signet completion fish > ~/.config/fish/completions/signet.fish
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None  # noqa: S101 - click brings these three
    click.echo(found(ctx.find_root().command, {}, "signet", "_SIGNET_COMPLETE").source())
