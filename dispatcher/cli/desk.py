"""What every command that speaks to the platform needs: whom to ask, how to print, what to make of refusals."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, update_wrapper
from typing import TYPE_CHECKING, Any

import click

from dispatcher.cli import contexts
from dispatcher.cli.contexts import Context
from dispatcher.cli.exits import NETWORK, REFUSED, USAGE
from dispatcher.cli.output import Output, clean

if TYPE_CHECKING:
    from dispatcher.client import MerchantSide, ProviderSide
    from dispatcher.client.transport import Transport

URL_VARIABLE, KEY_VARIABLE = "SIGNET_API_URL", "SIGNET_API_KEY"
RETRY_BUDGET_S = 15.0
RETRY_ATTEMPTS = 4
# Somebody sits before the terminal: a wrong address should not take a minute to say so.


class Ended(click.ClickException):
    """One line on standard error, and an exit code."""

    def __init__(self, message: str) -> None:
        super().__init__(clean(message))


class Refused(Ended):
    exit_code = REFUSED


class Misused(Ended):
    exit_code = USAGE


class Unreached(Ended):
    exit_code = NETWORK


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says of whom to ask."""

    context: str | None
    merchant: str | None


class Desk:
    """Made for one call. The clients are made when they are needed."""

    def __init__(self, asked: Asked, *, is_json: bool) -> None:
        self._asked = asked
        self.out = Output(is_json=is_json)

    @cached_property
    def context(self) -> Context:
        return choose(self._asked.context, os.environ)

    @cached_property
    def _transport(self) -> "Transport":
        from dispatcher.client.retry import Retry
        from dispatcher.client.transport import Transport

        retry = Retry(budget_s=RETRY_BUDGET_S, attempts=RETRY_ATTEMPTS)
        return Transport(self.context.url, self.context.key, retry=retry, user_agent="signet-cli")

    @cached_property
    def provider(self) -> "ProviderSide":
        from dispatcher.client import ProviderSide

        return ProviderSide(self._transport)

    @cached_property
    def merchant(self) -> "MerchantSide":
        """The key's merchant, or the one that a provider names."""
        from dispatcher.client import MerchantSide

        return MerchantSide(self._transport, merchant=self.merchant_name)

    @property
    def asked_merchant(self) -> str | None:
        """The one on the command line."""
        return self._asked.merchant

    @property
    def merchant_name(self) -> str | None:
        """The one on the command line, or the context's own."""
        return self._asked.merchant or self.context.merchant

    @cached_property
    def is_provider(self) -> bool:
        """Whether the key is a provider's: known since login, else the platform is asked."""
        return (self.context.kind or kind_of(self.provider)) == "provider"

    def confirm(self, question: str, *, is_sure: bool) -> None:
        """Ask before something that cannot be undone. Nobody there to answer: then --yes is needed."""
        if is_sure:
            return
        if not sys.stdin.isatty():
            raise Misused("Nobody is there to confirm this: add --yes.")
        if not click.confirm(clean(question), err=True):
            raise Refused("Nothing was done.")


def kind_of(provider: "ProviderSide") -> str:
    """`provider` or `merchant`. Raises ApiError for a key that is none."""
    from dispatcher.client import Forbidden

    try:
        next(provider.event_types.list(page_size=1), None)
    except Forbidden as refusal:
        if refusal.code != "provider_key_needed":
            raise
        return "merchant"
    return "provider"


def choose(named: str | None, environment: Mapping[str, str]) -> Context:
    """1. `--context`. 2. The environment. 3. The current context.

    A stored key goes only to the address that it was stored with: with an address of its own, the environment must
    bring the key as well.
    """
    path = contexts.path_of(environment)
    try:
        stored = contexts.load(path)
    except contexts.UnreadableContexts as trouble:
        raise Misused(str(trouble)) from None
    if named is not None and named not in stored.by_name:
        raise Misused(f"There is no context {named}; `signet contexts list` shows what there is.")
    current = stored.by_name.get(named or stored.current or "")
    if named is not None and current is not None:
        return current
    return _from_environment(environment, current) or _need(current)


def _from_environment(environment: Mapping[str, str], current: Context | None) -> Context | None:
    url, key = environment.get(URL_VARIABLE, "").rstrip("/"), environment.get(KEY_VARIABLE, "")
    if key and not (url or current):
        raise Misused(f"{KEY_VARIABLE} is set, and no address: set {URL_VARIABLE}.")
    if key:
        return Context(url or (current.url if current else ""), key)
    if url and (current is None or current.url != url):
        raise Misused(f"{URL_VARIABLE} is set, and no key for it: set {KEY_VARIABLE}, or log in.")
    return None


def _need(current: Context | None) -> Context:
    if current is None:
        raise Misused(f"Log in first (`signet login`), or set {URL_VARIABLE} and {KEY_VARIABLE}.")
    return current


@contextmanager
def refusals() -> Iterator[None]:
    """Every refusal becomes one line and an exit code."""
    from dispatcher.client import ApiError, BadInput, SignetError

    try:
        yield
    except ApiError as refusal:
        raise Refused(f"{refusal}{_hint(refusal)}") from None
    except BadInput as trouble:
        raise Misused(str(trouble)) from None
    except SignetError as trouble:
        raise Unreached(str(trouble)) from None


def _hint(refusal: Any) -> str:
    if any(error.pointer == "/merchant" and error.code == "required" for error in refusal.errors):
        return " Here: --merchant REFERENCE."
    return ""


def _complete_context(_ctx: click.Context, _param: click.Parameter, begun: str) -> list[str]:
    try:
        known = contexts.load(contexts.path_of(os.environ)).by_name
    except contexts.UnreadableContexts:
        return []
    return [name for name in known if name.startswith(begun)]


_json = click.option("--json", "is_json", is_flag=True, help="One JSON object a line.")
_context = click.option(
    "--context",
    "named",
    metavar="NAME",
    shell_complete=_complete_context,
    help="Another context than the current one; goes before the environment.",
)
_merchant = click.option("-m", "--merchant", metavar="R", help="Whom a provider's key acts for: id or reference.")
yes = click.option("--yes", "is_sure", is_flag=True, help="Do not ask.")


def at_desk(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command its desk as the first argument, and the options that choose it."""

    def run(*args: Any, named: str | None, merchant: str | None, is_json: bool, **kwargs: Any) -> None:
        with refusals():
            command(Desk(Asked(named, merchant), is_json=is_json), *args, **kwargs)

    return _json(_context(_merchant(update_wrapper(run, command))))


def with_output(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command an output as the first argument, and the option that chooses its look."""

    def run(*args: Any, is_json: bool, **kwargs: Any) -> None:
        with refusals():
            command(Output(is_json=is_json), *args, **kwargs)

    return _json(update_wrapper(run, command))
