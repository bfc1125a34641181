"""Every case against both clients: one outcome with the exact reason, in time, and one request at most."""

import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from dispatcher.http.door import Client, Limits, Request
from dispatcher.outcomes import Outcome, Reason
from tests.acceptance.receivers.bodies import BODIES
from tests.acceptance.receivers.cases import CAP, Case
from tests.acceptance.receivers.handshakes import HANDSHAKES, tickets
from tests.acceptance.receivers.heads import HEADS
from tests.acceptance.receivers.writing import WRITING
from tests.dispatcher.http.conftest import CLIENTS, GRACE_S, Sender, collect, target_of
from tests.receivers import Connection, Receiver
from tests.receivers.scripts import keep_alive

CASES = [*HEADS, *BODIES, *WRITING, *HANDSHAKES]
QUICK = [case for case in CASES if not case.lasts]
LASTING = [case for case in CASES if case.lasts]
DEADLINE_S = 1.0
REAL_DEADLINE_S = 10.0
OK_HEADERS = "Content-Type: text/plain\r\nContent-Length: 2\r\n"
PIECE = 4_096
SLACK = 131_072
# What may have left the receiver and was never read: in the buffers of both kernels, and between two looks of a busy
# machine.

Seen = tuple[Outcome, float, int, int]


def start(case: Case) -> Receiver:
    tls = case.tls() if case.tls else None
    return Receiver(case.script, tls=tls, receive_buffer_bytes=case.receive_buffer_bytes)


def url_of(case: Case, receiver: Receiver) -> str:
    return receiver.url() if case.tls else f"{case.scheme}://127.0.0.1:{receiver.port}/"


def check(case: Case, outcome: Outcome, requests: int) -> None:
    seen = (outcome.reason, outcome.status, outcome.body_error, requests)
    assert seen == (case.reason, case.status, case.body_error, case.requests), outcome.detail
    assert len(outcome.body) <= Limits().excerpt_bytes
    assert len(outcome.headers) <= CAP


def fly(client: Client, cases: list[Case], *, deadline_s: float) -> dict[str, Seen]:
    """All at once: outcome, seconds, connections and full requests of each."""
    with ExitStack() as running:
        receivers = {case.name: running.enter_context(start(case)) for case in cases}
        began = time.monotonic()
        for case in cases:
            client.submit(Request(case.name, target_of(url_of(case, receivers[case.name])), (), case.body))
        seen: dict[str, Seen] = {}
        while len(seen) < len(cases):
            assert time.monotonic() - began < deadline_s + GRACE_S, {case.name for case in cases} - seen.keys()
            for finished in client.poll(0.1):
                name = str(finished.key)
                assert name not in seen
                seen[name] = finished.outcome, time.monotonic() - began, 0, 0
        assert client.in_flight == 0
        return {
            name: (outcome, took_s, receivers[name].connections, len(receivers[name].requests))
            for name, (outcome, took_s, _, _) in seen.items()
        }


@pytest.fixture(scope="module", params=sorted(CLIENTS))
def lasting(request: pytest.FixtureRequest, ca_file: str) -> Iterator[dict[str, Seen]]:
    sender = Sender(request.param, ca_file)
    client = sender.client(deadline_s=DEADLINE_S)
    seen = fly(client, LASTING, deadline_s=DEADLINE_S)
    with Receiver(keep_alive()) as other:
        for number in range(2 * len(LASTING)):
            client.submit(Request(number, target_of(other.url()), (), b"x"))
        after = collect(client, 2 * len(LASTING), within_s=DEADLINE_S + GRACE_S)
    assert {finished.outcome.reason for finished in after} == {Reason.DELIVERED}
    yield seen
    sender.close()


def test_no_two_cases_have_one_name() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", QUICK, ids=str)
def test_the_reason_is_exact_and_comes_long_before_the_deadline(sender: Sender, case: Case) -> None:
    client = sender.client()
    with start(case) as receiver, Receiver(keep_alive()) as other:
        outcome = sender.send(url_of(case, receiver), client=client, body=case.body)
        check(case, outcome, len(receiver.requests))
        assert receiver.connections == 1
        # Nothing of it stays behind in the client and spoils somebody else's request.
        client.submit(Request("after", target_of(other.url()), (), b"x"))
        after = collect(client, 1, within_s=DEADLINE_S)[0].outcome
        assert (after.reason, after.headers, after.body) == (Reason.DELIVERED, OK_HEADERS, b"ok"), after.detail
    assert outcome.phases.total < DEADLINE_S * 900


@pytest.mark.parametrize("case", LASTING, ids=str)
def test_what_lasts_ends_at_the_deadline_with_the_reason_of_its_phase(lasting: dict[str, Seen], case: Case) -> None:
    outcome, took_s, connections, requests = lasting[case.name]
    check(case, outcome, requests)
    assert connections == 1
    assert DEADLINE_S * 0.95 < took_s < DEADLINE_S + GRACE_S


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(CLIENTS))
def test_what_lasts_ends_at_the_real_deadline(kind: str, ca_file: str) -> None:
    sender = Sender(kind, ca_file)
    # Scripts that drip come to their end within ten seconds, and are then as silent as the others.
    seen = fly(sender.client(deadline_s=REAL_DEADLINE_S), LASTING, deadline_s=REAL_DEADLINE_S)
    ended = {case.name: seen[case.name] for case in LASTING}
    sender.close()
    assert {name for name, (_, took_s, _, _) in ended.items() if took_s > REAL_DEADLINE_S + GRACE_S} == set()
    assert {name for name, (_, _, connections, _) in ended.items() if connections != 1} == set()


@pytest.mark.parametrize(
    ("start_of_answer", "piece"),
    [
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\n", b"X-Padding: y\r\n"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"y"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n"),
    ],
)
def test_little_more_is_read_than_the_caps_allow(sender: Sender, start_of_answer: bytes, piece: bytes) -> None:
    """Measured where it is sent: the receiver never has more under way than a piece."""
    sent = 0

    def script(connection: Connection) -> None:
        nonlocal sent
        connection.read_request()
        connection.send(start_of_answer)
        pieces = piece * (PIECE // len(piece))
        while not connection.pause(0.001):
            connection.send(pieces)
            sent += len(pieces)

    with Receiver(script) as receiver:
        sender.send(receiver.url(), deadline_s=4.0)
    assert CAP / 2 < sent <= 2 * CAP + SLACK


def test_a_flood_of_tickets_holds_up_nobody_else(sender: Sender) -> None:
    """TLS lets a server send messages without end that are no data, and reading them is reading nothing."""
    tls = tickets(1_000_000)
    with Receiver(Connection.hold, tls=tls) as flood, Receiver(keep_alive()) as healthy:
        client = sender.client(deadline_s=2.0)
        client.submit(Request("flood", target_of(flood.url()), (), b"x"))
        client.poll(0.3)
        began = time.monotonic()
        client.submit(Request("healthy", target_of(healthy.url()), (), b"x"))
        [finished] = collect(client, 1, within_s=1.0)
        assert (finished.key, time.monotonic() - began < 0.5) == ("healthy", True)
        [finished] = collect(client, 1, within_s=2.0 + GRACE_S)
        assert finished.key == "flood"
