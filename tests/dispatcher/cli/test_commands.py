"""Publishing, the log, endpoints and replays from the command line, against a running platform."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from dispatcher.client import Merchant, Provider
from tests.acceptance.stack import wait_until
from tests.dispatcher.cli.running import Signet
from tests.dispatcher.client.scripted import answer, base, problem, script
from tests.dispatcher.conftest import Shop
from tests.receivers.receiver import Receiver
from tests.receivers.scripts import OK, keep_alive, once

pytestmark = pytest.mark.acceptance

PAYLOAD = b'{"b": 12.50,\n "a":[1e2]}'


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver(keep_alive()) as made:
        yield made


@pytest.fixture
def failing() -> Iterator[Receiver]:
    with Receiver(keep_alive(b"HTTP/1.1 500 No\r\nContent-Length: 4\r\n\r\nno\x1b\n")) as made:
        yield made


def delivered(merchant: Merchant, event: str) -> bool:
    return all(one.delivery_status == "delivered" for one in merchant.events.get(event).deliveries)


def test_a_provider_publishes_a_file_byte_for_byte(
    as_provider: Signet, merchant: Merchant, shop: Shop, receiver: Receiver, tmp_path: Path
) -> None:
    merchant.endpoints.create(receiver.url("/in"))
    (tmp_path / "payload.json").write_bytes(PAYLOAD)

    from_file = as_provider.ok(
        "trigger",
        "invoice.paid",
        "-m",
        shop.reference,
        "--payload",
        str(tmp_path / "payload.json"),
        "--id",
        f"o-{shop.reference}",
    )
    from_pipe = as_provider.ok(
        "trigger", "invoice.paid", "-m", shop.reference, "--payload", "-", "--json", input=PAYLOAD
    )

    assert from_file.members == {"event": f"o-{shop.reference}", "deliveries": "1", "published before": "no"}
    (accepted,) = from_pipe.objects
    assert (sorted(accepted), accepted["deliveries"]) == (["deliveries", "duplicate", "id"], 1)
    wait_until(lambda: len(receiver.requests) == 2, seconds=20, what="both arrive")
    assert {one.body for one in receiver.requests} == {PAYLOAD}


def test_an_account_stands_for_its_merchant_whomever_the_context_acts_for(
    stranger: Signet, provider: Provider, merchant: Merchant, shop: Shop
) -> None:
    other = provider.merchants.create(f"{shop.reference}-other").id
    provider.merchants.put_account(shop.reference, f"card-{shop.reference}")
    stranger.ok("login", "--url", shop.url, "-m", other, input=shop.stack.key)

    done = stranger.ok("trigger", "invoice.paid", "--account", f"card-{shop.reference}", "--payload", "-", input=b"{}")

    assert merchant.events.get(done.members["event"]).account == f"card-{shop.reference}"


def test_without_a_payload_the_example_is_published(as_provider: Signet, merchant: Merchant, shop: Shop) -> None:
    event = as_provider.ok("trigger", "invoice.paid", "-m", shop.reference).members["event"]

    assert merchant.events.get(event).payload == {"id": "inv_1", "total": 12.5}


def test_the_same_idempotency_key_publishes_once(as_provider: Signet, shop: Shop) -> None:
    asked = ("trigger", "invoice.paid", "-m", shop.reference, "--idempotency-key", shop.reference, "--json")

    first, second = (as_provider.ok(*asked).objects[0] for _ in range(2))

    assert (first["id"], first["duplicate"], second["duplicate"]) == (second["id"], False, True)


def test_a_merchant_sends_a_test_event_to_its_only_endpoint(
    signet: Signet, merchant: Merchant, receiver: Receiver, failing: Receiver
) -> None:
    none = signet("trigger", "invoice.paid")
    assert (none.code, none.err) == (
        2,
        "Error: There is no endpoint: name one with --endpoint (`signet endpoints list`).\n",
    )
    endpoint = merchant.endpoints.create(receiver.url("/in"))

    done = signet.ok("trigger", "invoice.paid", "--payload", "-", input=PAYLOAD)

    assert (done.members["state"], done.members["answer"]) == ("delivered", "200")
    assert receiver.requests[0].body == PAYLOAD
    other = merchant.endpoints.create(failing.url("/in"))
    assert signet("trigger", "invoice.paid").code == 2
    refused = signet("trigger", "invoice.paid", "--endpoint", other.id)
    assert (refused.code, refused.members["state"]) == (1, "failed")
    assert refused.err == "Error: The test event was not received: The receiver failed.\n"
    assert "\x1b" not in refused.out
    assert signet("endpoints", "test", other.id, "--json").objects[0]["reason"] == "http_server_error"
    assert signet.ok("endpoints", "test", endpoint.id, "--type", "invoice.sent").members["type"] == "invoice.sent"
    assert signet("trigger", "invoice.paid", "--account", "card-1").code == 2


@pytest.mark.parametrize("payload", [b"", b"nonsense", b'{}, "merchant": "mallory"'])
def test_a_payload_that_is_no_json_is_not_published(
    as_provider: Signet, merchant: Merchant, shop: Shop, payload: bytes
) -> None:
    done = as_provider("trigger", "invoice.paid", "-m", shop.reference, "--payload", "-", input=payload)

    assert done.code == 2
    assert "not JSON" in done.err
    assert list(merchant.events.list()) == []


def test_refusals_are_one_line_with_pointer_and_request(as_provider: Signet, signet: Signet, shop: Shop) -> None:
    unknown = as_provider("trigger", "no.such.type", "-m", shop.reference, "--payload", "-", input=b"{}")
    nameless = as_provider("events", "list")
    missing = signet("events", "show", "evt_nothing")

    for done in (unknown, nameless, missing):
        assert (done.code, done.out, len(done.err.splitlines())) == (1, "", 1)
        assert "(request " in done.err
    assert unknown.err.startswith("Error: 422 Unprocessable Entity: /type: ")
    assert nameless.err.endswith(" Here: --merchant REFERENCE.\n")
    assert missing.err.startswith("Error: 404 Not Found: There is no such event.")


def test_the_log_in_lines_and_in_json(
    signet: Signet, merchant: Merchant, provider: Provider, shop: Shop, receiver: Receiver
) -> None:
    endpoint = merchant.endpoints.create(receiver.url("/in"))
    events = [provider.events.publish("invoice.paid", PAYLOAD, merchant=shop.reference).id for _ in range(3)]
    wait_until(lambda: all(delivered(merchant, one) for one in events), seconds=20, what="all are delivered")

    rows = signet.ok("events", "list", "--limit", "2", "--since", "1h").rows
    objects = signet.ok("events", "list", "--json", "--endpoint", endpoint.id, "--status", "delivered").objects

    assert [row[1:] for row in rows] == [
        ["invoice.paid", one, endpoint.id, "delivered", "1", "200", ""] for one in (events[2], events[1])
    ]
    assert [one["id"] for one in objects] == events[::-1]
    assert sorted(objects[0]) == sorted(
        [
            *("id", "delivery_id", "endpoint_id", "event_type", "account", "delivery_status", "delivery_attempts"),
            *("delivery_response_code", "delivery_error", "next_attempt_at", "payload", "expunged_at", "created_at"),
        ]
    )
    assert '"payload":{"b":12.50,"a":[1e2]}' in signet.ok("events", "list", "--json", "-n", "1").out
    assert signet.ok("events", "list", "--type", "invoice.sent").rows == []
    assert signet.ok("events", "list", "--until", "2026-01-01").rows == []


def test_one_event_with_its_attempts(
    signet: Signet, merchant: Merchant, provider: Provider, shop: Shop, receiver: Receiver
) -> None:
    endpoint = merchant.endpoints.create(receiver.url("/in"))
    event = provider.events.publish("invoice.paid", PAYLOAD, merchant=shop.reference).id
    wait_until(lambda: delivered(merchant, event), seconds=20, what="it is delivered")

    short, whole = signet.ok("events", "show", event), signet.ok("events", "show", event, "-v")
    (as_json,) = signet.ok("events", "show", event, "--json").objects

    assert (short.members["id"], short.members["type"], short.members["endpoint"]) == (
        event,
        "invoice.paid",
        endpoint.id,
    )
    assert '    "b": 12.50,\n' in short.out.replace("\n  ", "\n    ").replace("      ", "    ")
    assert "Delivered (200)" in short.out
    assert "X-Webhook-Event: invoice.paid" in whole.out
    assert as_json["deliveries"][0]["attempts"][0]["response"]["status"] == 200


def test_an_event_is_sent_again(
    signet: Signet, merchant: Merchant, provider: Provider, shop: Shop, receiver: Receiver
) -> None:
    endpoint = merchant.endpoints.create(receiver.url("/in"))
    event = provider.events.publish("invoice.paid", PAYLOAD, merchant=shop.reference).id
    wait_until(lambda: delivered(merchant, event), seconds=20, what="it is delivered")

    (again,) = signet.ok("resend", event, "--endpoint", endpoint.id, "--json").objects

    assert again == {"event": event, "deliveries": [merchant.events.get(event).deliveries[0].delivery_id]}
    wait_until(lambda: len(receiver.requests) == 2, seconds=20, what="it arrives again")


def test_tail_shows_what_comes_and_what_changes_until_ctrl_c(
    signet: Signet, merchant: Merchant, provider: Provider, shop: Shop, receiver: Receiver
) -> None:
    endpoint = merchant.endpoints.create(receiver.url("/in"), is_active=False)
    before = [provider.events.publish("invoice.paid", {}, merchant=shop.reference).id for _ in range(3)]

    with signet.running("events", "tail", "--last", "2", "--every", "0.1", "--json") as tail:
        first = [json.loads(tail.line(number)) for number in range(2)]
        assert [one["id"] for one in first] == before[1:]
        new = provider.events.publish("invoice.paid", {}, merchant=shop.reference).id
        assert json.loads(tail.line(2))["id"] == new
        merchant.endpoints.update(endpoint.id, is_active=True)
        merchant.endpoints.release(endpoint.id)
        expected = {(one, "delivered") for one in [*before, new]}
        tail.wait_for(lambda lines: expected <= set(map(_id_and_state, lines[3:])), "all four again, delivered")
        assert tail.stop() == 0

    seen = [_id_and_state(line) for line in tail.lines]
    assert len(seen) == len(set(seen))
    assert tail.notes == []


def _id_and_state(line: str) -> tuple[str, str]:
    row = json.loads(line)
    return row["id"], row["delivery_status"]


def test_the_life_of_an_endpoint(signet: Signet, merchant: Merchant, receiver: Receiver, tmp_path: Path) -> None:
    (tmp_path / "more.json").write_text(json.dumps({"auth": {"type": "bearer", "token": "t"}, "rate_limit": 5}))
    (tmp_path / "secret").write_text("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n")

    (made,) = signet.ok(
        *("endpoints", "create", receiver.url("/in"), "--type", "invoice.*", "--type", "invoice.paid", "--ordered"),
        *("--header", "X-Ours=1=2", "--metadata", "team=billing", "--fields", str(tmp_path / "more.json"), "--json"),
    ).objects
    assert made["secret"].startswith("whsec_")
    assert (made["event_types"], made["ordered"]) == (["invoice.*", "invoice.paid"], True)
    assert (made["headers"], made["metadata"]) == ({"X-Ours": "1=2"}, {"team": "billing"})
    assert (made["auth"], made["rate_limit"]) == ({"type": "bearer", "token_set": True}, 5)
    name = made["id"]

    assert signet.ok("endpoints", "secret", name).out == f"{made['secret']}\n"
    assert signet.ok("endpoints", "show", name).members["state"] == "active"
    assert signet.ok("endpoints", "list").rows[0][:3] == [name, "active", receiver.url("/in")]
    assert signet.ok("endpoints", "pause", name).members["state"] == "disabled: paused"
    assert not merchant.endpoints.get(name).is_active
    assert signet.ok("endpoints", "resume", name).members["state"] == "active"
    assert signet.ok("endpoints", "update", name, "--unordered", "--url", receiver.url("/x")).members["ordered"] == "no"
    assert signet("endpoints", "update", name, "--description", "late", "--if-version", "1").code == 1
    assert signet("endpoints", "update", name).code == 2
    assert signet.ok("endpoints", "check", name).members["reachable"] == "yes"
    assert signet.ok("endpoints", "stats", name, "--bucket", "day").members["delivered"] == "0"
    rotated = signet.ok("endpoints", "rotate", name, "--secret-file", str(tmp_path / "secret"), "--json").objects[0]
    assert rotated["secret"] == (tmp_path / "secret").read_text().strip()
    assert rotated["previous_expires_at"]


def test_what_cannot_be_undone_asks_first(signet: Signet, merchant: Merchant, receiver: Receiver) -> None:
    endpoint = merchant.endpoints.create(receiver.url("/in"))

    for asked in (("delete",), ("rotate", "--overlap", "0")):
        done = signet("endpoints", asked[0], endpoint.id, *asked[1:])
        assert (done.code, done.err) == (2, "Error: Nobody is there to confirm this: add --yes.\n")
    no = signet.on_terminal("endpoints", "delete", endpoint.id, width=200, typed=("[y/N]", "n"))
    assert no.code == 1
    assert f"Delete {endpoint.id} ({endpoint.url}) and cancel what waits for it? [y/N]" in no.out
    assert merchant.endpoints.get(endpoint.id).version == 1
    assert merchant.endpoints.secret(endpoint.id).secret == endpoint.secret

    yes = signet.on_terminal("endpoints", "delete", endpoint.id, typed=("[y/N]", "y"))
    assert (yes.code, list(merchant.endpoints.list())) == (0, [])
    other = merchant.endpoints.create(receiver.url("/in"))
    assert signet.ok("endpoints", "rotate", other.id, "--overlap", "0", "--yes").members["the old one ends"]
    assert signet.ok("endpoints", "delete", other.id, "--yes", "--json").objects == [
        {"endpoint": other.id, "deleted": True}
    ]


def test_replays_count_ask_and_wait(
    signet: Signet, merchant: Merchant, provider: Provider, shop: Shop, receiver: Receiver
) -> None:
    endpoint = merchant.endpoints.create(receiver.url("/in"), is_active=False)
    for n in range(3):
        provider.events.publish("invoice.paid", {"n": n}, merchant=shop.reference)
    merchant.endpoints.update(endpoint.id, is_active=True)

    assert signet.ok("replays", "release", endpoint.id, "--dry-run").members == {"deliveries": "3"}
    assert signet.ok("replays", "release", endpoint.id, "--dry-run", "--json").objects == [
        {"count": 3, "is_exact": True}
    ]
    assert signet("replays", "release", endpoint.id).code == 2
    assert list(merchant.replays.list()) == []
    done = signet.on_terminal("replays", "release", endpoint.id, typed=("[y/N]", "y"))

    assert done.code == 0
    assert f"Send 3 deliveries to {endpoint.id}? [y/N]" in done.out.replace("\n", "")
    (replay,) = merchant.replays.list()
    assert (replay.kind, replay.status, replay.sent) == ("release", "finished", 3)
    wait_until(lambda: len(receiver.requests) == 3, seconds=20, what="they arrive")
    begun = signet.ok("replays", "recover", endpoint.id, "--since", "1h", "--yes", "--no-wait", "--json").objects[0]
    over = signet.ok("replays", "show", begun["id"], "--wait").members
    assert (over["kind"], over["state"], over["sent"]) == ("recover", "finished", "0")
    assert signet.ok("replays", "stop", begun["id"]).members["state"] == "finished"
    assert signet.ok("replays", "replay-missing", endpoint.id, "--since", "1h", "--yes").members["state"] == "finished"
    assert [row[1] for row in signet.ok("replays", "list").rows] == ["replay_missing", "recover", "release"]
    assert signet("replays", "recover", endpoint.id).code == 2


def test_the_catalogue(signet: Signet, as_provider: Signet) -> None:
    assert {row[0] for row in signet.ok("event-types", "list").rows} >= {"invoice.paid", "invoice.sent"}
    assert {one["name"] for one in as_provider.ok("event-types", "list", "--json").objects} >= {"invoice.paid"}
    shown = signet.ok("event-types", "show", "invoice.paid")
    assert shown.members["name"] == "invoice.paid"
    assert '"total": 12.5' in shown.out
    assert signet.ok("event-types", "show", "invoice.paid", "--json").objects[0]["example"]["id"] == "inv_1"


def test_a_stranger_reaches_nothing(stranger: Signet, merchant: Merchant, shop: Shop) -> None:
    charlie = Signet(stranger.home, {"SIGNET_API_URL": shop.url, "SIGNET_API_KEY": shop.strangers_key})
    endpoint = merchant.endpoints.create(f"{shop.url}/in")

    for asked in (("show",), ("pause",), ("secret",), ("rotate",), ("delete", "--yes"), ("test",)):
        done = charlie("endpoints", asked[0], endpoint.id, *asked[1:])
        assert (done.code, done.out) == (1, "")
    assert charlie("endpoints", "list", "-m", shop.reference).code == 1
    assert merchant.endpoints.get(endpoint.id).version == 1
    assert merchant.endpoints.secret(endpoint.id).secret == endpoint.secret


def test_on_a_terminal_lists_are_tables_with_whole_ids_and_no_control_characters_of_others(
    signet: Signet, merchant: Merchant, provider: Provider, shop: Shop
) -> None:
    long = f"{shop.url}/{'x' * 120}"
    endpoint = merchant.endpoints.create(long, description="[bold]no markup[/bold] \u202e")
    event = provider.events.publish("invoice.paid", {}, merchant=shop.reference).id

    for width in (80, 160):
        table = signet.on_terminal("endpoints", "list", width=width)
        assert table.code == 0
        assert endpoint.id in table.out
        assert long not in table.out
        assert max(len(line) for line in table.out.splitlines() if "\x1b" not in line) <= width
        assert event in signet.on_terminal("events", "list", width=width).out
    assert "[bold]no markup[/bold]" in table.out
    assert "\u202e" not in table.out
    assert "There are no such deliveries." in signet.on_terminal("events", "list", "--type", "invoice.sent").out
    assert "\x1b" not in signet.on_terminal("endpoints", "list", NO_COLOR="1", TERM="dumb").out


def test_what_the_platform_sends_cannot_steer_the_terminal(stranger: Signet) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J"
    with Receiver(script(problem(422, "x"), answer(422, {"title": evil, "detail": evil}))) as receiver:
        signet = Signet(stranger.home, {"SIGNET_API_URL": base(receiver), "SIGNET_API_KEY": "k"})
        done = [signet("events", "list") for _ in range(2)]

    assert all(one.code == 1 and "\x1b" not in one.err and "\x07" not in one.err for one in done)
    assert "owned" in done[1].err


def test_a_busy_platform_is_asked_again_and_a_broken_one_ends_with_3(stranger: Signet) -> None:
    with Receiver(script(problem(429, "busy", Retry_After="1"), answer(200, []))) as receiver:
        signet = Signet(stranger.home, {"SIGNET_API_URL": base(receiver), "SIGNET_API_KEY": "k"})
        assert signet.ok("events", "list").out == ""
        assert len(receiver.requests) == 2
    with Receiver(once(OK)) as receiver:
        signet = Signet(stranger.home, {"SIGNET_API_URL": base(receiver), "SIGNET_API_KEY": "k"})
        assert signet("events", "list").code == 3
    assert signet("events", "list").code == 3
