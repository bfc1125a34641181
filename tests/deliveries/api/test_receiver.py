"""The bundled receiver: its verdicts are its own, held against published vectors and another implementation."""

import base64
import hashlib
import hmac
import http.client
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from threading import Thread
from urllib.parse import urlsplit

import pytest
from standardwebhooks.webhooks import Webhook

from deliveries.management.commands.receiver import line
from deliveries.receiver import Behaviour, Received, Receiver, Verdict, check_hex, check_standard

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"test": 2432232314}'
NOW = 1_614_265_330
# The example of Standard Webhooks' own libraries.
HEADERS = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": str(NOW),
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}


class TestStandard:
    def test_published_vector(self) -> None:
        assert check_standard(SECRET, HEADERS, BODY, now=NOW) is Verdict.GOOD

    def test_agrees_with_another_implementation(self) -> None:
        at = datetime(2026, 3, 1, tzinfo=UTC)
        signature = Webhook(SECRET).sign("evt_1", at, BODY.decode())
        headers = {"webhook-id": "evt_1", "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature}
        assert check_standard(SECRET, headers, BODY, now=at.timestamp()) is Verdict.GOOD

    @pytest.mark.parametrize(
        ("changes", "body", "now", "verdict"),
        [
            ({}, BODY + b" ", NOW, Verdict.BAD),
            ({"webhook-id": "msg_x"}, BODY, NOW, Verdict.BAD),
            ({"webhook-timestamp": str(NOW + 1)}, BODY, NOW, Verdict.BAD),
            ({"webhook-signature": "v1,AAAA"}, BODY, NOW, Verdict.BAD),
            ({"webhook-signature": "é"}, BODY, NOW, Verdict.BAD),
            ({"webhook-signature": "v1,AAAA " + HEADERS["webhook-signature"]}, BODY, NOW, Verdict.GOOD),
            ({}, BODY, NOW + 300, Verdict.GOOD),
            ({}, BODY, NOW + 301, Verdict.EXPIRED),
            ({}, BODY, NOW - 301, Verdict.EXPIRED),
        ],
    )
    def test_verdicts(self, changes: dict[str, str], body: bytes, now: int, verdict: Verdict) -> None:
        assert check_standard(SECRET, HEADERS | changes, body, now=now) is verdict

    def test_absent(self) -> None:
        assert check_standard(SECRET, {}, BODY, now=NOW) is Verdict.ABSENT

    def test_a_secret_of_another_form_is_its_own_text(self) -> None:
        key = b"plain text"
        signed = hmac.new(key, b"a.1." + BODY, hashlib.sha256).digest()
        headers = {
            "webhook-id": "a",
            "webhook-timestamp": "1",
            "webhook-signature": "v1," + base64.b64encode(signed).decode(),
        }
        assert check_standard("plain text", headers, BODY, now=1) is Verdict.GOOD


class TestHex:
    def test_verdicts(self) -> None:
        good = hmac.new(SECRET.encode(), BODY, hashlib.sha256).hexdigest()
        assert check_hex(SECRET, {"x-webhook-signature": good}, BODY) is Verdict.GOOD
        assert check_hex(SECRET, {"x-webhook-signature": good}, BODY + b" ") is Verdict.BAD
        assert check_hex(SECRET, {"x-webhook-signature": "é"}, BODY) is Verdict.BAD
        assert check_hex(SECRET, {}, BODY) is Verdict.ABSENT


@pytest.fixture
def came() -> list[Received]:
    return []


@pytest.fixture
def receiver(came: list[Received]) -> Iterator[Receiver]:
    made = Receiver(port=0, paths={"/a": Behaviour(secret=SECRET), "/b": Behaviour(status=503)}, report=came.append)
    thread = Thread(target=made.serve, daemon=True)
    thread.start()
    yield made
    made.stop()
    thread.join(5)
    made.close()


class TestServer:
    def test_keeps_connections_and_counts(self, receiver: Receiver, came: list[Received]) -> None:
        connection = http.client.HTTPConnection(urlsplit(receiver.url).netloc, timeout=5)
        good = hmac.new(SECRET.encode(), BODY, hashlib.sha256).hexdigest()
        sock, answers = None, []
        for path in ("/a", "/b", "/elsewhere", "/a"):
            connection.request("POST", path, BODY, {"X-Webhook-Signature": good})
            response = connection.getresponse()
            response.read()
            answers.append(response.status)
            assert sock in (None, connection.sock)
            sock = connection.sock
        connection.close()
        assert answers == [401, 503, 200, 401]
        assert receiver.counts() == {("/a", 401, False): 2, ("/b", 503, True): 1, ("/elsewhere", 200, True): 1}
        assert [one.body for one in came] == [BODY] * 4

    def test_paths_change_while_it_runs(self, receiver: Receiver) -> None:
        receiver.paths["/a"] = Behaviour(status=204)
        connection = http.client.HTTPConnection(urlsplit(receiver.url).netloc, timeout=5)
        connection.request("POST", "/a", BODY)
        assert connection.getresponse().status == 204
        connection.close()

    def test_only_bounded_bodies(self, receiver: Receiver, came: list[Received]) -> None:
        for length, status in (("999999999", 413), ("x", 413), (None, 411)):
            connection = http.client.HTTPConnection(urlsplit(receiver.url).netloc, timeout=5)
            connection.putrequest("POST", "/a")
            if length is not None:
                connection.putheader("Content-Length", length)
            connection.endheaders()
            assert connection.getresponse().status == status
            connection.close()
        assert came == []


class TestLine:
    def received(self, **headers: str) -> Received:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return Received("/a", named, BODY, Verdict.GOOD, Verdict.GOOD, 200)

    def test_one_line_for_a_delivery(self) -> None:
        told = line(
            self.received(x_webhook_event="invoice.paid", x_webhook_id="evt_1", x_webhook_attempt="2"),
            at=datetime(2026, 3, 1, 12, 0, 0, 123_456, tzinfo=UTC),
        )
        assert re.split(r"  +", told) == [
            "12:00:00.123",
            "invoice.paid",
            "evt_1",
            "attempt 2",
            "signature good",
            "20 bytes",
            "answered 200",
        ]

    def test_a_bad_signature_and_none_to_check(self) -> None:
        bad = Received("/", {}, BODY, Verdict.BAD, Verdict.ABSENT, 401)
        assert "signature BAD (hex bad, standard absent)" in line(bad, at=datetime.now(UTC))
        unchecked = Received("/", {}, BODY, None, None, 200)
        assert "signature not checked" in line(unchecked, at=datetime.now(UTC))

    def test_control_characters_do_not_reach_the_terminal(self) -> None:
        assert line(self.received(x_webhook_event="\x1b[31m"), at=datetime.now(UTC)).isprintable()
