"""Name servers that are slow, endless, broken, odd or hostile, asked by the C library itself; both clients."""

import struct
from collections.abc import Callable, Iterator

import pytest

from dispatcher.outcomes import Reason
from tests.acceptance.receivers.nameserver import (
    CNAME,
    FOUND_AT_12,
    NXDOMAIN,
    REFUSED,
    SERVFAIL,
    A,
    Answer,
    NameServer,
    Question,
    addresses,
    is_supported,
    record,
    say,
    slow,
    wire_name,
)
from tests.dispatcher.http.conftest import Sender
from tests.receivers import Receiver
from tests.receivers.certificates import NAME
from tests.receivers.scripts import keep_alive

pytestmark = pytest.mark.skipif(not is_supported(), reason="only glibc can be led to a name server of the test's own")

DEADLINE_S = 4.0
ELSEWHERE = "127.0.0.2"


def chain(*links: str, end: str | None) -> Answer:
    """A CNAME after the other, and an address at the end of them if there is one."""

    def answer(question: Question) -> bytes:
        owner, rows = FOUND_AT_12, []
        for link in links:
            rows.append(record(owner, CNAME, wire_name(link)))
            owner = wire_name(link)
        if end is not None and question.kind == A:
            rows.append(record(owner, A, bytes(int(octet) for octet in end.split("."))))
        return question.reply(rows)

    return answer


def endless(question: Question) -> bytes:
    """Each name is another's alias, for as long as somebody asks."""
    return question.reply([record(FOUND_AT_12, CNAME, wire_name("x" + question.name))])


def stranger(question: Question) -> bytes:
    """An address, but of another name than was asked for."""
    return question.reply([record(wire_name("other.merchant-one.com"), A, b"\x7f\0\0\1")])


def wrong_number(question: Question) -> bytes:
    return struct.pack("!H", question.number ^ 1) + question.reply()[2:]


def garbage(question: Question) -> bytes:
    return question.reply([b"\xff" * 200])


def pointer_to_itself(question: Question) -> bytes:
    return question.reply([record(b"\xc0" + bytes([12 + len(question.raw)]), A, b"\x7f\0\0\1")])


def six_octets(question: Question) -> bytes:
    return question.reply([record(FOUND_AT_12, A, b"\x7f\0\0\1\0\0")])


@pytest.fixture
def asking(sender: Sender) -> Iterator[Callable[[Answer], NameServer]]:
    """Has the client of the test ask a server that answers so."""
    started: list[NameServer] = []

    def ask(answer: Answer) -> NameServer:
        server = NameServer(answer).__enter__()
        started.append(server)
        sender.names = server.getaddrinfo  # type: ignore[assignment]
        return server

    yield ask
    for server in started:
        server.__exit__(None, None, None)


CASES: list[tuple[str, Answer, Reason]] = [
    ("one address", say("127.0.0.1"), Reason.DELIVERED),
    ("an alias", chain("alias.merchant-one.com", end="127.0.0.1"), Reason.DELIVERED),
    ("seven aliases", chain(*(f"a{n}.merchant-one.com" for n in range(7)), end="127.0.0.1"), Reason.DELIVERED),
    ("the same address fifty times", lambda q: q.reply([addresses("127.0.0.1")[0][1]] * 25), Reason.DELIVERED),
    ("a denied address", say(ELSEWHERE), Reason.BLOCKED_ADDRESS),
    ("an alias of a denied address", chain("localhost", end=ELSEWHERE), Reason.BLOCKED_ADDRESS),
    (
        "an alias of a metadata service",
        chain("metadata.google.internal", end="169.254.169.254"),
        Reason.BLOCKED_ADDRESS,
    ),
    ("a good and a denied address", say("127.0.0.1", ELSEWHERE), Reason.BLOCKED_ADDRESS),
    ("a denied and a good address", say(ELSEWHERE, "127.0.0.1"), Reason.BLOCKED_ADDRESS),
    ("twenty good ones and a denied one", say(*["127.0.0.1"] * 20, "10.0.0.1"), Reason.BLOCKED_ADDRESS),
    ("good over IPv4, denied over IPv6", say("127.0.0.1", "fd00:ec2::254"), Reason.BLOCKED_ADDRESS),
    ("a mapped address", say("127.0.0.1", f"::ffff:{ELSEWHERE}"), Reason.BLOCKED_ADDRESS),
    ("all zeros", say("0.0.0.0"), Reason.BLOCKED_ADDRESS),
    ("broadcast", say("255.255.255.255"), Reason.BLOCKED_ADDRESS),
    ("no such name", lambda q: q.reply(code=NXDOMAIN), Reason.DNS_NOT_FOUND),
    ("no address", lambda q: q.reply(), Reason.DNS_NOT_FOUND),
    ("an alias of nothing", chain("alias.merchant-one.com", end=None), Reason.DNS_NOT_FOUND),
    ("server failure", lambda q: q.reply(code=SERVFAIL), Reason.DNS_ERROR),
    ("refused", lambda q: q.reply(code=REFUSED), Reason.DNS_ERROR),
]

# What the C library makes of these is its own affair and differs by version: no address comes of it, and no packet.
NOTHING: list[tuple[str, Answer]] = [
    ("aliases without end", endless),
    ("an alias of itself", chain(NAME, NAME, end=None)),
    ("two aliases of each other", chain("a.merchant-one.com", NAME, "a.merchant-one.com", end=None)),
    ("the address of another name", stranger),
    ("garbage", garbage),
    ("a name that points to itself", pointer_to_itself),
    ("an address of six octets", six_octets),
    ("half an answer", lambda q: q.reply()[:7]),
    ("the answer to another question", wrong_number),
    ("silence", lambda _: None),
]


@pytest.mark.parametrize(("what", "answer", "reason"), CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_the_answer_decides(
    sender: Sender, asking: Callable[[Answer], NameServer], what: str, answer: Answer, reason: Reason
) -> None:
    with Receiver(keep_alive()) as receiver, Receiver(keep_alive(), host=ELSEWHERE) as canary:
        server = asking(answer)
        outcome = sender.send(receiver.url("/", name=NAME), deadline_s=DEADLINE_S)
        assert (outcome.reason, canary.connections) == (reason, 0)
        assert receiver.connections == (1 if reason is Reason.DELIVERED else 0)
    assert NAME in server.asked


@pytest.mark.parametrize(("what", "answer"), NOTHING, ids=lambda value: value if isinstance(value, str) else "")
def test_no_sense_leads_nowhere(
    sender: Sender, asking: Callable[[Answer], NameServer], what: str, answer: Answer
) -> None:
    with Receiver(keep_alive()) as receiver:
        asking(answer)
        outcome = sender.send(receiver.url("/", name=NAME), deadline_s=DEADLINE_S)
        assert receiver.connections == 0
    assert outcome.reason in {Reason.DNS_NOT_FOUND, Reason.DNS_ERROR, Reason.DNS_TIMEOUT}
    assert outcome.peer == ""


def test_a_slow_server_ends_at_the_deadline(sender: Sender, asking: Callable[[Answer], NameServer]) -> None:
    with Receiver(keep_alive()) as receiver:
        asking(slow(0.9, say("127.0.0.1")))
        outcome = sender.send(receiver.url("/", name=NAME), deadline_s=0.5)
        assert (outcome.reason, receiver.connections) == (Reason.DNS_TIMEOUT, 0)


def test_a_server_that_turns_is_judged_at_each_answer(
    sender: Sender, asking: Callable[[Answer], NameServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A time to live of 0, and another address for every question."""
    monkeypatch.setattr("dispatcher.http.resolver.FOUND_S", 0.0)
    with Receiver(keep_alive()) as receiver:
        server = asking(say("127.0.0.1"))
        client = sender.client(deadline_s=DEADLINE_S)
        reasons = []
        for answer in (say("127.0.0.1"), say(ELSEWHERE), say("127.0.0.1", ELSEWHERE), say("127.0.0.1")):
            server.answer = answer
            monkeypatch.setattr("dispatcher.http.resolver.FAILED_S", 0.0)
            reasons.append(sender.send(receiver.url("/", name=NAME), client=client, deadline_s=DEADLINE_S).reason)
        blocked = Reason.BLOCKED_ADDRESS
        assert reasons == [Reason.DELIVERED, blocked, blocked, Reason.DELIVERED]
        assert len(receiver.requests) == 2
