"""Both clients at the corners of every denied range: refused in the same words, and no socket is ever opened."""

import socket
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from dispatcher.addresses import DENIED, AddressRules
from dispatcher.http.curl_sockets import Sockets
from dispatcher.http.door import Request
from dispatcher.outcomes import Reason
from dispatcher.targets import SENTENCES
from tests.dispatcher.http.conftest import Sender, collect, target_of
from tests.receivers import Receiver
from tests.receivers.certificates import NAME
from tests.receivers.scripts import keep_alive

NETWORKS = [ip_network(text) for text, _ in DENIED]
CORNERS = sorted({str(network[index]) for network in NETWORKS for index in (0, min(1, network.num_addresses - 1), -1)})
MAPPED = [f"::ffff:{text}" for text in CORNERS if "." in text]
ZONED = ["fe80::1%lo", "fe80::1%1"]
PUBLIC = ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"]


@pytest.fixture
def sockets(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every connection that a client goes about to open."""
    opened: list[Any] = []
    honest = Sockets.opened

    def spy(self: Sockets, fd: int) -> None:
        opened.append(fd)
        honest(self, fd)

    class Spied(socket.socket):
        def connect(self, address: Any) -> None:
            opened.append(address)
            super().connect(address)

    monkeypatch.setattr(Sockets, "opened", spy)
    monkeypatch.setattr(socket, "socket", Spied)
    return opened


def bracketed(text: str) -> str:
    return f"[{text}]" if ":" in text else text


def test_the_spy_sees_what_is_opened(sender: Sender, sockets: list[Any]) -> None:
    with Receiver(keep_alive()) as receiver:
        assert sender.send(receiver.url()).reason is Reason.DELIVERED
    assert len(sockets) == 1


def test_no_literal(sender: Sender, sockets: list[Any]) -> None:
    client = sender.client(allowed=())
    for text in (*CORNERS, *MAPPED):
        outcome = sender.send(f"https://{bracketed(text)}:8443/", client=client)
        assert (outcome.reason, outcome.peer) == (Reason.BLOCKED_ADDRESS, ""), text
        assert outcome.detail == SENTENCES[Reason.BLOCKED_ADDRESS]
        assert (outcome.phases.connect, outcome.phases.tls, outcome.phases.send) == (None, None, None)
    assert sockets == []


@pytest.mark.parametrize("beside", [None, *PUBLIC])
@pytest.mark.parametrize("is_first", [True, False])
def test_no_answer_of_a_name(sender: Sender, sockets: list[Any], beside: str | None, is_first: bool) -> None:
    """Alone, or before or behind a public address: the answer is refused whole."""
    client = sender.client(allowed=())
    texts = [*CORNERS, *MAPPED, *ZONED]
    for number, text in enumerate(texts):
        answer = [text] if beside is None else [text, beside] if is_first else [beside, text]
        host = f"n{number}.{NAME}"
        sender.names.answers[host] = [answer]
        client.submit(Request(text, target_of(f"https://{host}:8443/"), (), b"x"))
    finished = collect(client, len(texts), within_s=20)
    assert {one.key: one.outcome.reason for one in finished} == dict.fromkeys(texts, Reason.BLOCKED_ADDRESS)
    assert {(one.outcome.detail, one.outcome.peer) for one in finished} == {(SENTENCES[Reason.BLOCKED_ADDRESS], "")}
    assert sockets == []


def test_public_neighbours_pass(sender: Sender) -> None:
    """Judged only, for nothing may be sent to them: one past either end of each range, where that is public."""
    rules = AddressRules()
    for network in NETWORKS:
        most = 2**network.max_prefixlen
        for number in (int(network[0]) - 1, int(network[-1]) + 1):
            if 0 <= number < most:
                address = type(network[0])(number)
                is_denied = any(address in other for other in NETWORKS if other.version == address.version)
                assert rules.allows(address) is not is_denied
                assert rules.allows_all([address, ip_address("8.8.8.8")]) is not is_denied


@pytest.mark.parametrize("moves", [["8.8.8.8"], ["8.8.8.8", "1.1.1.1"]])
def test_a_name_that_turns_is_judged_at_every_lookup(
    sender: Sender, sockets: list[Any], moves: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same name, public to whoever asked before and private to us."""
    monkeypatch.setattr("dispatcher.http.resolver.FOUND_S", 0.0)
    resolver = sender.names
    resolver.answers[NAME] = [moves, ["10.0.0.1"]]
    assert resolver(NAME)
    outcome = sender.send(f"https://{NAME}:8443/", client=sender.client(allowed=()))
    assert outcome.reason is Reason.BLOCKED_ADDRESS
    assert sockets == []
