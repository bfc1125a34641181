"""Both clients, one after the other, and the shortest way to send one request and see exactly one outcome."""

import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, Literal

import pytest

from dispatcher.addresses import AddressRules
from dispatcher.http.curl import CurlClient
from dispatcher.http.door import Client, Finished, Limits, Request
from dispatcher.http.requests_client import RequestsClient
from dispatcher.outcomes import Outcome
from dispatcher.targets import Target, TargetRules, parse_target
from tests.receivers.certificates import NAME, certificates

HERE = "127.0.0.1/32"
LOOPBACK = "127.0.0.0/8"
DEADLINE_S = 1.0
GRACE_S = 0.5
# What reliability.md allows on top of the deadline.

CLIENTS: dict[str, Callable[..., Client]] = {"curl": CurlClient, "requests": RequestsClient}


class Names:
    """A resolver whose answers a test sets. Counts how often it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Sequence[str] | BaseException]] = {NAME: [["127.0.0.1"]]}
        self.asked: list[str] = []
        self.delay_s = 0.0

    def __call__(self, host: str, *_: Any, **__: Any) -> list[tuple[Any, ...]]:
        self.asked.append(host)
        if self.delay_s:
            time.sleep(self.delay_s)
        answers = self.answers.get(host)
        if not answers:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        # The last answer stays.
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return [
            (socket.AF_INET6 if ":" in text else socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, 0))
            for text in answer
        ]


def target_of(url: str) -> Target:
    """A target as an endpoint would hold it: names pass as text, what they resolve to is the client's business."""
    everywhere: tuple[IPv4Network | IPv6Network, ...] = (ip_network("0.0.0.0/0"), ip_network("::/0"))
    return parse_target(url, rules=TargetRules(allow_http=True, allowed_networks=everywhere))


@dataclass
class Sender:
    """Makes clients of one kind and sends with them."""

    kind: str
    ca_file: str
    names: Names = field(default_factory=Names)
    _clients: list[Client] = field(default_factory=list)

    def client(self, *, deadline_s: float = DEADLINE_S, allowed: Sequence[str] = (HERE,), **limits: int) -> Client:
        rules = AddressRules(tuple(ip_network(text) for text in allowed))
        made = CLIENTS[self.kind](
            rules=rules, limits=Limits(deadline_s=deadline_s, **limits), resolve=self.names, ca_file=self.ca_file
        )
        self._clients.append(made)
        return made

    def send(
        self,
        url: str,
        *,
        client: Client | None = None,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes = b'{"n":1}',
        method: Literal["POST", "HEAD"] = "POST",
        deadline_s: float = DEADLINE_S,
        **options: Any,
    ) -> Outcome:
        """One request, its one outcome, and nothing after it; within the deadline and the grace."""
        client = client or self.client(deadline_s=deadline_s, **options)
        began = time.monotonic()
        client.submit(Request("key", target_of(url), tuple(headers), body, method))
        assert client.in_flight == 1
        finished = collect(client, 1, within_s=deadline_s + GRACE_S + 1)
        took_s = time.monotonic() - began
        assert took_s < deadline_s + GRACE_S
        assert client.in_flight == 0
        assert client.poll(0.02) == []
        assert finished[0].key == "key"
        outcome = finished[0].outcome
        assert abs(outcome.phases.total / 1000 - took_s) < 0.4
        return outcome

    def close(self) -> None:
        for client in self._clients:
            client.close()


def collect(client: Client, count: int, *, within_s: float) -> list[Finished]:
    """Poll until `count` requests have finished."""
    until = time.monotonic() + within_s
    finished: list[Finished] = []
    while len(finished) < count:
        left_s = until - time.monotonic()
        assert left_s > 0, f"{len(finished)} of {count} finished"
        finished += client.poll(min(left_s, 0.5))
    return finished


@pytest.fixture(scope="session")
def ca_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    return certificates().write_ca(tmp_path_factory.mktemp("ca"))


@pytest.fixture(params=sorted(CLIENTS))
def sender(request: pytest.FixtureRequest, ca_file: str) -> Iterator[Sender]:
    made = Sender(request.param, ca_file)
    yield made
    made.close()


@pytest.fixture
def curl(ca_file: str) -> Iterator[Sender]:
    """Only the default client, for what it alone promises."""
    made = Sender("curl", ca_file)
    yield made
    made.close()


@pytest.fixture
def quiet_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home directory of the test's own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path
