"""Where requests go: to judged addresses only, whatever the name, the resolver or the answer say."""

import socket
import time
from collections.abc import Iterator

import pytest

from dispatcher.addresses import AddressRules
from dispatcher.http.door import Request
from dispatcher.http.resolver import FOUND_S
from dispatcher.outcomes import Reason
from dispatcher.targets import SENTENCES
from tests.dispatcher.http.conftest import HERE, LOOPBACK, Sender, collect, target_of
from tests.receivers import Receiver
from tests.receivers.certificates import NAME
from tests.receivers.scripts import canary, keep_alive

ELSEWHERE = "127.0.0.2"
# Loopback like 127.0.0.1, but outside of what the clients of these tests are allowed.
SENTENCE = SENTENCES[Reason.BLOCKED_ADDRESS]


@pytest.fixture
def forbidden() -> Iterator[Receiver]:
    """Listens where nothing may be sent."""
    with Receiver(canary, host=ELSEWHERE) as receiver:
        yield receiver
        assert receiver.connections == 0


def refuse(sender: Sender, url: str) -> None:
    outcome = sender.send(url)
    assert (outcome.reason, outcome.detail, outcome.peer) == (Reason.BLOCKED_ADDRESS, SENTENCE, "")


def test_a_literal_address(sender: Sender, forbidden: Receiver) -> None:
    refuse(sender, forbidden.url())


@pytest.mark.parametrize("url", ["http://169.254.169.254/latest/meta-data/", "http://[::1]:8080/", "http://[fd00::1]/"])
def test_the_usual_prey(sender: Sender, url: str) -> None:
    refuse(sender, url)


def test_a_name(sender: Sender, forbidden: Receiver) -> None:
    sender.names.answers[NAME] = [[ELSEWHERE]]
    refuse(sender, forbidden.url("/", name=NAME))


@pytest.mark.parametrize(
    "answer", [["127.0.0.1", ELSEWHERE], [ELSEWHERE, "127.0.0.1"], ["127.0.0.1", "::1"], ["127.0.0.1", "10.0.0.1"]]
)
def test_one_bad_address_spoils_the_answer(sender: Sender, forbidden: Receiver, answer: list[str]) -> None:
    sender.names.answers[NAME] = [answer]
    refuse(sender, forbidden.url("/", name=NAME))


@pytest.mark.parametrize("answer", ["::ffff:127.0.0.2", "::ffff:169.254.169.254", "fe80::1%lo", "0.0.0.0", "::"])
def test_other_spellings(sender: Sender, forbidden: Receiver, answer: str) -> None:
    sender.names.answers[NAME] = [[answer]]
    refuse(sender, forbidden.url("/", name=NAME))


def test_a_name_that_moves_to_a_forbidden_address(
    sender: Sender, forbidden: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rebinding, with the cached answer run out and a kept-alive connection to the old address still open."""
    monkeypatch.setattr("dispatcher.http.resolver.FOUND_S", 0.0)
    sender.names.answers[NAME] = [["127.0.0.1"], [ELSEWHERE]]
    with Receiver(keep_alive()) as receiver:
        client = sender.client()
        assert sender.send(receiver.url("/", name=NAME), client=client).reason is Reason.DELIVERED
        outcome = sender.send(receiver.url("/", name=NAME), client=client)
        assert (outcome.reason, outcome.detail) == (Reason.BLOCKED_ADDRESS, SENTENCE)
        assert len(receiver.requests) == 1
    assert sender.names.asked == [NAME, NAME]


def test_the_judged_answer_is_the_one_that_is_used(sender: Sender) -> None:
    """Rebinding between the check and the connection: there is no second question to answer differently."""
    with Receiver(keep_alive()) as receiver, Receiver(canary, host=ELSEWHERE) as other:
        sender.names.answers[NAME] = [["127.0.0.1"], [ELSEWHERE]]
        client = sender.client()
        for _ in range(5):
            assert sender.send(receiver.url("/", name=NAME), client=client).reason is Reason.DELIVERED
        assert other.connections == 0
    assert sender.names.asked == [NAME]
    assert FOUND_S >= 10


def test_the_last_line_of_defence(sender: Sender, forbidden: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Had every check before it failed, the socket would still not be opened."""
    judged = AddressRules.allows
    monkeypatch.setattr(AddressRules, "allows_all", lambda *_: True)
    sender.names.answers[NAME] = [[ELSEWHERE]]
    refuse(sender, forbidden.url("/", name=NAME))
    assert AddressRules.allows is judged


def test_the_next_address_is_tried_when_one_refuses(sender: Sender) -> None:
    with Receiver(keep_alive(), host="127.0.0.3") as receiver:
        sender.names.answers[NAME] = [["127.0.0.4", "127.0.0.3"]]
        outcome = sender.send(receiver.url("/", name=NAME), allowed=(LOOPBACK,))
        assert (outcome.reason, outcome.peer) == (Reason.DELIVERED, f"127.0.0.3:{receiver.port}")


def test_ipv6(sender: Sender) -> None:
    try:
        receiver = Receiver(keep_alive(), host="::1")
    except OSError:
        pytest.skip("no IPv6 on this machine")
    with receiver:
        client = sender.client(allowed=("::1/128", HERE))
        outcome = sender.send(receiver.url(), client=client)
        assert (outcome.reason, outcome.peer) == (Reason.DELIVERED, f"[::1]:{receiver.port}")
        assert receiver.requests[0].header("host") == f"[::1]:{receiver.port}"
        # Nothing listens on the IPv4 port: the other family is tried.
        sender.names.answers[NAME] = [["127.0.0.1", "::1"]]
        assert sender.send(receiver.url("/", name=NAME), client=client).reason is Reason.DELIVERED


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (socket.gaierror(socket.EAI_NONAME, "x"), Reason.DNS_NOT_FOUND),
        (socket.gaierror(socket.EAI_AGAIN, "x"), Reason.DNS_ERROR),
        (socket.gaierror(socket.EAI_FAIL, "x"), Reason.DNS_ERROR),
        (UnicodeError("label too long"), Reason.DNS_ERROR),
        (RuntimeError("resolver bug"), Reason.DNS_ERROR),
    ],
)
def test_names_that_cannot_be_found(sender: Sender, error: Exception, reason: Reason) -> None:
    sender.names.answers[NAME] = [error]
    outcome = sender.send(f"http://{NAME}:8080/")
    assert (outcome.reason, outcome.peer) == (reason, "")
    assert outcome.phases.dns is not None
    assert outcome.phases.connect is None


def test_a_name_without_addresses(sender: Sender) -> None:
    sender.names.answers[NAME] = [[]]
    assert sender.send(f"http://{NAME}:8080/").reason is Reason.DNS_NOT_FOUND


def test_one_lookup_serves_all_who_wait_for_it(sender: Sender) -> None:
    sender.names.delay_s = 0.2
    with Receiver(keep_alive()) as receiver:
        client = sender.client()
        for number in range(30):
            client.submit(Request(number, target_of(receiver.url("/", name=NAME)), (), b"x"))
        finished = collect(client, 30, within_s=3)
    assert {one.outcome.reason for one in finished} == {Reason.DELIVERED}
    assert sender.names.asked == [NAME]


def test_a_hanging_lookup_holds_up_nobody_else(sender: Sender) -> None:
    names = sender.names

    def resolve(host: str, *_: object, **__: object) -> object:
        if host != NAME:
            time.sleep(2.0)
        return names(NAME)

    sender.names = resolve  # type: ignore[assignment]
    with Receiver(keep_alive()) as receiver:
        client = sender.client(deadline_s=0.6)
        for number in range(40):
            target = target_of(receiver.url("/", name=f"slow-{number}.merchant-one.com"))
            client.submit(Request(number, target, (), b"x"))
        client.submit(Request("healthy", target_of(receiver.url("/", name=NAME)), (), b"x"))
        first = collect(client, 1, within_s=0.5)
        rest = collect(client, 40, within_s=1.5)
    assert [(one.key, one.outcome.reason) for one in first] == [("healthy", Reason.DELIVERED)]
    assert {one.outcome.reason for one in rest} == {Reason.DNS_TIMEOUT}
