"""`login`, `logout` and `contexts`: which platform and whose key."""

import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

import click

from dispatcher.cli import contexts as stored
from dispatcher.cli.contexts import Context
from dispatcher.cli.desk import URL_VARIABLE, Misused, kind_of, with_output
from dispatcher.cli.output import Output

LOCAL_URL = "http://127.0.0.1:8000"
# Where `make run` listens.
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@click.command()
@with_output
@click.argument("name", required=False)
@click.option("--url", help="The platform's address, e.g. https://signet.example.")
@click.option("-m", "--merchant", metavar="R", help="Whom a provider's key acts for unless a command says otherwise.")
def login(out: Output, name: str | None, url: str | None, merchant: str | None) -> None:
    """Store an address and a key, after a look whether they work.

    The key is asked for, or read from standard input: `signet login --url URL < key`. It is kept in a file that only
    you can read. NAME is the context, `default` unless given; it becomes the current one.
    """
    from dispatcher.client import NotFound, Provider, UnexpectedAnswer
    from dispatcher.client.transport import check_base_url

    path, known = _load(out)
    name = name or stored.DEFAULT_NAME
    before = known.by_name.get(name)
    url = check_base_url(url or os.environ.get(URL_VARIABLE) or _ask_url(before))
    if urlsplit(url).scheme == "http" and urlsplit(url).hostname not in LOOPBACK:
        out.note("Over http:// the key can be read on its way: use https:// unless the network is your own.")
    key = _read_key()
    with Provider(url, key, user_agent="signet-cli") as provider:
        try:
            kind = kind_of(provider)
            if merchant and kind == "provider":
                provider.merchants.get(merchant)
        except NotFound as refusal:
            if merchant and refusal.code == "not_found" and "merchant" in refusal.detail:
                raise
            raise UnexpectedAnswer(f"{url}: there is no such API here.") from None
    stored.save(path, known.with_one(name, Context(url, key, kind, merchant)))
    out.done(
        f"Logged in to {url} with a {kind} key (context {name}).", context=name, url=url, kind=kind, merchant=merchant
    )


@click.command()
@with_output
@click.argument("name", required=False)
def logout(out: Output, name: str | None) -> None:
    """Forget a context and its key.

    NAME, or the current one. The key itself stays good until it is revoked.
    """
    path, known = _load(out)
    name = _known(known, name or known.current or "")
    stored.save(path, known.without(name))
    out.done(f"Forgot the context {name}.", context=name)


@click.group()
def contexts() -> None:
    """Several platforms or keys side by side."""


@contexts.command("list")
@with_output
def list_contexts(out: Output) -> None:
    """All contexts; a star marks the current one. Keys are not shown."""
    _, known = _load(out)
    for name, one in known.by_name.items():
        is_current = name == known.current
        if out.look == "json":
            shown = {"name": name, "url": one.url, "kind": one.kind, "merchant": one.merchant, "current": is_current}
            out.object(shown)
        else:
            out.done("  ".join(["*" if is_current else " ", name, one.url, one.kind, one.merchant or ""]).rstrip())
    if not known.by_name:
        out.note("There is none yet: `signet login` makes one.")


@contexts.command("use")
@with_output
@click.argument("name")
def use_context(out: Output, name: str) -> None:
    """Make NAME the current context."""
    path, known = _load(out)
    stored.save(path, known.using(_known(known, name)))
    out.done(f"{name} is the current context now.", context=name)


def _load(out: Output) -> tuple[Path, stored.Contexts]:
    path = stored.path_of(os.environ)
    try:
        known = stored.load(path)
    except stored.UnreadableContexts as trouble:
        raise Misused(str(trouble)) from None
    if known.by_name and stored.is_open_to_others(path):
        out.note(f"Others on this machine can read {path}: `chmod 600` it, and have its keys replaced.")
    return path, known


def _known(known: stored.Contexts, name: str) -> str:
    if name not in known.by_name:
        raise Misused(f"There is no context {name}.".replace(" .", "."))
    return name


def _ask_url(before: Context | None) -> str:
    if not sys.stdin.isatty():
        if before is None:
            raise Misused("Which address? Add --url.")
        return before.url
    return str(click.prompt("Address", default=before.url if before else LOCAL_URL, err=True))


def _read_key() -> str:
    """Never from the command line, which every process of this machine can read."""
    if sys.stdin.isatty():
        return str(click.prompt("API key", hide_input=True, err=True)).strip()
    key = sys.stdin.readline().strip()
    if not key:
        raise Misused("No key came on standard input.")
    return key
