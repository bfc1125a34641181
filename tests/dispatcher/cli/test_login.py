"""Whom the command line asks, and with whose key."""

import json
import stat

import pytest

from tests.dispatcher.cli.running import Signet
from tests.dispatcher.conftest import Shop
from tests.receivers.receiver import Receiver
from tests.receivers.scripts import canary

pytestmark = pytest.mark.acceptance


def file_of(signet: Signet) -> str:
    return (signet.home / "signet" / "contexts.json").read_text()


def test_a_merchant_logs_in(stranger: Signet, shop: Shop) -> None:
    done = stranger.ok("login", "--url", f"{shop.url}/", input=f"{shop.key}\n")

    assert done.out == f"Logged in to {shop.url} with a merchant key (context default).\n"
    path = stranger.home / "signet" / "contexts.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [one.name for one in path.parent.iterdir()] == ["contexts.json"]
    assert stranger.ok("endpoints", "list").out == ""


def test_a_provider_logs_in_and_names_its_merchant_once(stranger: Signet, shop: Shop) -> None:
    done = stranger.ok("login", "live", "--url", shop.url, "-m", shop.reference, "--json", input=shop.stack.key)

    assert done.objects == [{"context": "live", "url": shop.url, "kind": "provider", "merchant": shop.reference}]
    assert stranger.ok("endpoints", "list").out == ""


def test_a_key_that_does_not_work_is_not_stored(stranger: Signet, shop: Shop) -> None:
    refused = stranger("login", "--url", shop.url, input="sgn_mer_nonsense")
    assert (refused.code, refused.out) == (1, "")
    assert refused.err.startswith("Error: 401 Unauthorized: ")
    assert "(request " in refused.err

    unknown = stranger("login", "--url", shop.url, "-m", "nobody-here", input=shop.stack.key)
    assert unknown.code == 1

    empty = stranger("login", "--url", shop.url)
    assert (empty.code, empty.err) == (2, "Error: No key came on standard input.\n")
    assert not (stranger.home / "signet").exists()


def test_nobody_there_ends_with_3(stranger: Signet) -> None:
    with Receiver(canary) as gone:
        url = gone.url("")

    done = stranger("login", "--url", url, input="key")

    assert (done.code, done.err) == (3, f"Error: {url[7:]}: Connection refused\n")


def test_at_a_terminal_the_key_is_asked_for_and_not_shown(stranger: Signet, shop: Shop) -> None:
    done = stranger.on_terminal("login", "--url", shop.url, width=200, typed=("API key: ", shop.key))

    assert done.code == 0
    assert shop.key not in done.out
    assert "with a merchant key" in done.out


def test_several_contexts(stranger: Signet, shop: Shop) -> None:
    stranger.ok("login", "one", "--url", shop.url, input=shop.key)
    stranger.ok("login", "two", "--url", shop.url, input=shop.strangers_key)

    listed = stranger.ok("contexts", "list")
    assert listed.out == f"   one  {shop.url}  merchant\n*  two  {shop.url}  merchant\n"
    assert shop.key not in stranger.ok("contexts", "list", "--json").out
    stranger.ok("contexts", "use", "one")
    assert [one["current"] for one in stranger.ok("contexts", "list", "--json").objects] == [True, False]
    assert stranger("contexts", "use", "three").code == 2
    assert stranger("events", "list", "--context", "three").code == 2

    stranger.ok("logout")
    assert shop.key not in file_of(stranger)
    assert stranger.ok("contexts", "list").out == f"*  two  {shop.url}  merchant\n"
    stranger.ok("logout", "two")
    assert json.loads(file_of(stranger)) == {"current": None, "contexts": {}}
    assert stranger("logout").code == 2


def test_the_environment_goes_before_what_is_stored_and_a_named_context_before_both(
    stranger: Signet, shop: Shop
) -> None:
    stranger.ok("login", "--url", shop.url, input=shop.key)
    stranger.ok("endpoints", "create", f"{shop.url}/in")
    charlies = {"SIGNET_API_URL": shop.url, "SIGNET_API_KEY": shop.strangers_key}

    assert len(stranger.ok("endpoints", "list").rows) == 1
    assert stranger.ok("endpoints", "list", **charlies).rows == []
    assert stranger.ok("endpoints", "list", SIGNET_API_KEY=shop.strangers_key).rows == []
    assert len(stranger.ok("endpoints", "list", "--context", "default", **charlies).rows) == 1


def test_a_stored_key_goes_nowhere_else(stranger: Signet, shop: Shop) -> None:
    stranger.ok("login", "--url", shop.url, input=shop.key)
    with Receiver(canary) as elsewhere:
        done = stranger("endpoints", "list", SIGNET_API_URL=elsewhere.url(""))

    assert done.code == 2
    assert "no key for it" in done.err
    assert elsewhere.connections == 0


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, "Log in first"),
        ({"SIGNET_API_KEY": "k"}, "set SIGNET_API_URL"),
        ({"SIGNET_API_URL": "http://127.0.0.1:1"}, "set SIGNET_API_KEY"),
        ({"SIGNET_API_URL": "nonsense", "SIGNET_API_KEY": "k"}, "A base URL looks like"),
    ],
)
def test_without_an_address_or_a_key_one_line_says_what_to_do(
    stranger: Signet, variables: dict[str, str], said: str
) -> None:
    done = stranger("events", "list", **variables)

    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert len(done.err.splitlines()) == 1


def test_a_file_that_others_can_read_is_told(stranger: Signet, shop: Shop) -> None:
    stranger.ok("login", "--url", shop.url, input=shop.key)
    (stranger.home / "signet" / "contexts.json").chmod(0o644)

    assert "Others on this machine can read" in stranger.ok("contexts", "list").err
    stranger.ok("login", "--url", shop.url, input=shop.key)
    assert stranger.ok("contexts", "list").err == ""


def test_a_file_that_is_none_of_ours_is_left_alone(stranger: Signet) -> None:
    (stranger.home / "signet").mkdir(parents=True)
    (stranger.home / "signet" / "contexts.json").write_text("[]")

    assert stranger("events", "list").code == 2
    assert stranger("login", "--url", "http://127.0.0.1:1", input="k").code == 2
    assert file_of(stranger) == "[]"
