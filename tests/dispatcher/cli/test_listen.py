"""Deliveries that reach a developer's machine: verified, shown, forwarded, and nothing left behind."""

import hashlib
import hmac
import http.client
import json
import signal as signals
import socket
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import standardwebhooks

from dispatcher.client import Merchant, Provider
from tests.acceptance.stack import wait_until
from tests.dispatcher.cli.running import Running, Signet
from tests.dispatcher.conftest import Shop
from tests.receivers.receiver import Receiver
from tests.receivers.scripts import canary, hold, keep_alive

pytestmark = pytest.mark.acceptance

SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
OTHER = "whsec_YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODk="
BODY = b'{"id": "inv_1",  "total": 12.50}'
TEAPOT = (
    b"HTTP/1.1 418 Teapot\r\nContent-Type: text/plain\r\nRetry-After: 7\r\nX-Own: 1\r\nContent-Length: 5\r\n\r\nshort"
)


def signed(secret: str = SECRET, *, body: bytes = BODY, at: datetime | None = None) -> dict[str, str]:
    """The headers of a delivery in the default profile, made by code that is not ours."""
    at = at or datetime.now(UTC)
    return {
        "Content-Type": "application/json",
        "X-Webhook-Event": "invoice.paid",
        "X-Webhook-Id": "evt_1",
        "X-Webhook-Attempt": "2",
        "X-Webhook-Signature": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(),
        "webhook-id": "evt_1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": standardwebhooks.Webhook(secret).sign("evt_1", at, body.decode()),
    }


def deliver(url: str, headers: Mapping[str, str], body: bytes = BODY) -> http.client.HTTPResponse:
    with closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)) as connection:
        connection.request("POST", "/some/path?x=1", body, dict(headers))
        answer = connection.getresponse()
        answer.content = answer.read()  # type: ignore[attr-defined] # the connection is closed before it is looked at
        return answer


def ready(listening: Running) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(listening.line(0))
    return told


@pytest.fixture
def offline(stranger: Signet) -> Signet:
    """Without any platform: `listen` needs none."""
    return Signet(stranger.home, {"SIGNET_WEBHOOK_SECRET": SECRET})


def test_it_verifies_and_prints(offline: Signet) -> None:
    with offline.running("listen", "--json") as listening:
        url = ready(listening)["listening"]
        good = deliver(url, signed())
        bad = deliver(url, signed(OTHER))
        changed = deliver(url, signed(), BODY + b" ")
        old = deliver(url, signed(at=datetime.now(UTC) - timedelta(minutes=6)))
        bare = deliver(url, {})
        seen = [json.loads(listening.line(number)) for number in range(1, 6)]
        assert listening.stop() == 0

    assert [one.status for one in (good, bad, changed, old, bare)] == [200, 401, 401, 401, 401]
    assert [(one["signature"], one["status"]) for one in seen] == [
        *(("good", 200), ("mismatch", 401), ("mismatch", 401), ("expired", 401), ("missing", 401))
    ]
    first = seen[0]
    assert (first["event_type"], first["event_id"], first["attempt"]) == ("invoice.paid", "evt_1", "2")
    assert (first["path"], first["body"], first["forwarded"]) == ("/some/path?x=1", BODY.decode(), False)
    assert {"name": "X-Webhook-Attempt", "value": "2"} in first["headers"]
    assert listening.notes == []


def test_for_people_each_delivery_is_a_line(offline: Signet) -> None:
    with offline.running("listen", "--body", "--status", "202") as listening:
        url = listening.line(0).removeprefix("Listening at ")
        deliver(url, {**signed(), "X-Webhook-Event": "a\x07b"})
        listening.wait_for(lambda lines: lines[-1:] == ["  }"], "the body")
        assert listening.stop(signals.SIGTERM) == 0

    line, *body = listening.lines[1:]
    assert line.split("\t")[1:] == ["a�b", "evt_1", "attempt 2", "signature good", "32 bytes", "answered 202"]
    assert body == ["body", "  {", '    "id": "inv_1",', '    "total": 12.50', "  }"]


def test_without_a_secret_it_makes_one_to_register(stranger: Signet) -> None:
    with stranger.running("listen", "--json") as listening:
        told = ready(listening)
        assert deliver(told["listening"], signed(told["secret"])).status == 200
        assert deliver(told["listening"], signed(SECRET)).status == 401
        assert listening.stop() == 0

    assert told["endpoint"] is None
    assert told["secret"].startswith("whsec_")


def test_what_is_genuine_is_forwarded_and_the_answer_is_passed_back(offline: Signet) -> None:
    with (
        Receiver(keep_alive(TEAPOT)) as target,
        offline.running("listen", "--json", "--forward-to", target.url("/mine?y=2")) as listening,
    ):
        url = ready(listening)["listening"]
        headers = {**signed(), "Accept-Encoding": "gzip", "Connection": "close", "X-Own": "a, b"}
        passed, refused = deliver(url, headers), deliver(url, signed(OTHER))
        seen = [json.loads(listening.line(number)) for number in (1, 2)]

    assert (passed.status, passed.content) == (418, b"short")  # type: ignore[attr-defined]
    assert (passed.headers["Retry-After"], passed.headers["Content-Type"]) == ("7", "text/plain")
    assert passed.headers["X-Own"] is None
    assert refused.status == 401
    (request,) = target.requests
    assert (request.path, request.body) == ("/mine?y=2", BODY)
    for name, value in signed().items():
        if name != "webhook-signature":
            assert request.header(name) == value or name == "webhook-timestamp"
    assert request.header("webhook-signature") == headers["webhook-signature"]
    assert (request.header("X-Own"), request.header("Accept-Encoding")) == ("a, b", "identity")
    assert request.header("Host") == urlsplit(target.url()).netloc
    assert [(one["forwarded"], one["status"]) for one in seen] == [(True, 418), (False, 401)]


def test_what_is_not_genuine_is_forwarded_only_when_asked(offline: Signet) -> None:
    with (
        Receiver(keep_alive()) as target,
        offline.running("listen", "--json", "--no-verify", "--forward-to", target.url("/")) as listening,
    ):
        assert deliver(ready(listening)["listening"], signed(OTHER)).status == 200
        assert json.loads(listening.line(1))["signature"] == "mismatch"
        assert len(target.requests) == 1


def test_a_target_that_is_not_there_counts_as_502(offline: Signet) -> None:
    with Receiver(canary) as gone:
        url = gone.url("/")
    with offline.running("listen", "--json", "--forward-to", url) as listening:
        assert deliver(ready(listening)["listening"], signed()).status == 502
        seen = json.loads(listening.line(1))

    assert (seen["forwarded"], seen["trouble"]) == (True, "Connection refused")


@pytest.mark.slow
def test_a_target_that_does_not_answer_counts_as_504(offline: Signet) -> None:
    with Receiver(hold) as target, offline.running("listen", "--json", "--forward-to", target.url("/")) as listening:
        assert deliver(ready(listening)["listening"], signed()).status == 504


def test_a_redirect_of_the_target_is_passed_back_and_not_followed(offline: Signet) -> None:
    with Receiver(canary) as elsewhere:
        moved = f"HTTP/1.1 302 Found\r\nLocation: {elsewhere.url('/')}\r\nContent-Length: 0\r\n\r\n".encode()
        with (
            Receiver(keep_alive(moved)) as target,
            offline.running("listen", "--json", "--forward-to", target.url("/")) as listening,
        ):
            assert deliver(ready(listening)["listening"], signed()).status == 302

        assert elsewhere.connections == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("--forward-to", "ftp://127.0.0.1/"),
        ("--forward-to", "nonsense"),
        ("--type", "invoice.paid"),
        ("--public-url", "https://tunnel.example"),
        ("--secret-file", "/no/such/file"),
        ("--host", "192.0.2.1"),
        ("--profile", "paysera"),
    ],
)
def test_wrong_usage_ends_with_2(offline: Signet, arguments: tuple[str, str]) -> None:
    assert offline("listen", *arguments).code == 2


def test_a_format_whose_secrets_it_cannot_make_needs_one(stranger: Signet) -> None:
    done = stranger("listen", "--profile", "stripe")

    assert (done.code, done.err) == (
        2,
        "Error: For the format stripe the endpoint's secret is needed: --secret-file, or --create.\n",
    )


def test_a_port_in_use_is_told(offline: Signet) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        done = offline("listen", "--port", str(port))

    assert (done.code, done.err) == (2, f"Error: 127.0.0.1:{port} cannot be used: Address already in use.\n")


@pytest.mark.parametrize("number", [signals.SIGINT, signals.SIGTERM, signals.SIGHUP])
def test_a_temporary_endpoint_hears_events_and_is_removed_at_the_end(
    signet: Signet, merchant: Merchant, provider: Provider, shop: Shop, number: signals.Signals
) -> None:
    with signet.running("listen", "--create", "--type", "invoice.*", "--json") as listening:
        told = ready(listening)
        (endpoint,) = merchant.endpoints.list()
        assert (endpoint.id, endpoint.url, endpoint.event_types) == (told["endpoint"], told["listening"], ["invoice.*"])
        assert (endpoint.description, told["secret"]) == ("signet listen", None)
        event = provider.events.publish("invoice.paid", BODY, merchant=shop.reference)
        seen = json.loads(listening.line(1))
        assert listening.stop(number) == 0

    assert (seen["event_id"], seen["signature"], seen["body"]) == (event.id, "good", BODY.decode())
    assert list(merchant.endpoints.list()) == []
    assert listening.notes == [f"Removed the endpoint {endpoint.id}."]


def test_the_targets_failure_is_seen_by_the_platform(
    signet: Signet, merchant: Merchant, provider: Provider, shop: Shop
) -> None:
    with (
        Receiver(keep_alive(TEAPOT)) as target,
        signet.running("listen", "--create", "--forward-to", target.url("/mine"), "--json") as listening,
    ):
        ready(listening)
        event = provider.events.publish("invoice.paid", BODY, merchant=shop.reference)
        wait_until(
            lambda: bool(merchant.events.get(event.id).deliveries[0].attempts), seconds=20, what="the first attempt"
        )
        attempt = merchant.events.get(event.id).deliveries[0].attempts[0]
        assert listening.stop() == 0

    assert attempt.response is not None
    assert (attempt.response.status, attempt.response.body) == (418, "short")


def test_other_formats_and_own_secrets(
    signet: Signet, merchant: Merchant, provider: Provider, shop: Shop, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    for options in (("--profile", "stripe"), ("--secret-file", str(tmp_path / "secret"))):
        with signet.running("listen", "--create", "--json", *options) as listening:
            ready(listening)
            provider.events.publish("invoice.paid", BODY, merchant=shop.reference)
            assert json.loads(listening.line(1))["signature"] == "good"
            assert listening.stop() == 0

    assert list(merchant.endpoints.list()) == []


def test_a_public_address_is_registered_in_place_of_ours(signet: Signet, merchant: Merchant, shop: Shop) -> None:
    with signet.running("listen", "--create", "--public-url", f"{shop.url}/tunnel", "--json") as listening:
        assert ready(listening)["listening"] != f"{shop.url}/tunnel"
        assert [one.url for one in merchant.endpoints.list()] == [f"{shop.url}/tunnel"]
        assert listening.stop() == 0


def test_an_endpoint_that_is_refused_is_told_and_nothing_listens_on(signet: Signet, merchant: Merchant) -> None:
    done = signet("listen", "--create", "--type", "no.such.type")

    assert (done.code, done.out) == (1, "")
    assert "/event_types/0" in done.err
    assert list(merchant.endpoints.list()) == []


def test_an_endpoint_that_somebody_else_removed_is_gone_as_well(signet: Signet, merchant: Merchant) -> None:
    with signet.running("listen", "--create", "--json") as listening:
        endpoint = ready(listening)["endpoint"]
        merchant.endpoints.delete(endpoint)
        assert listening.stop() == 0

    assert listening.notes == [f"The endpoint {endpoint} was removed already."]


def test_an_endpoint_that_cannot_be_removed_is_told(signet: Signet, provider: Provider, shop: Shop) -> None:
    key = provider.keys.create(shop.reference, name="short-lived")
    with signet.running("listen", "--create", "--json", SIGNET_API_KEY=key.key) as listening:
        endpoint = ready(listening)["endpoint"]
        provider.keys.revoke(shop.reference, key.id)
        assert listening.stop() == 1

    assert listening.notes[0] == f"The endpoint is still there: `signet endpoints delete {endpoint}`."
    assert listening.notes[1].startswith("Error: 401 Unauthorized: ")


def test_a_large_delivery_and_one_without_a_length_are_refused(offline: Signet) -> None:
    with offline.running("listen", "--json") as listening:
        place = urlsplit(ready(listening)["listening"]).netloc
        statuses = []
        for length in ("Content-Length: 99999999", "Transfer-Encoding: chunked"):
            with closing(socket.create_connection(tuple(place.split(":")), timeout=20)) as connection:
                connection.sendall(f"POST / HTTP/1.1\r\nHost: x\r\n{length}\r\n\r\n".encode())
                statuses.append(connection.recv(1024).split(b" ")[1])
        assert listening.stop() == 0

    assert statuses == [b"413", b"411"]
    assert len(listening.lines) == 1
