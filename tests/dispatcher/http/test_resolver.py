"""The resolver by itself: caching, coalescing, and what a stuck lookup may cost."""

import threading
import time
from ipaddress import ip_address, ip_network

import pytest

from dispatcher.addresses import AddressRules
from dispatcher.http import resolver as module
from dispatcher.http.resolver import Answer, Resolver
from dispatcher.outcomes import Reason
from tests.dispatcher.http.conftest import HERE, Names

RULES = AddressRules((ip_network(HERE),))
NAME = "pay.merchant-one.com"


def test_an_answer_is_kept_for_a_while_and_not_longer() -> None:
    names = Names()
    resolver = Resolver(rules=RULES, resolve=names)
    answer = resolver.wait(NAME, timeout_s=1)
    assert answer is not None
    assert answer.addresses == (ip_address("127.0.0.1"),)
    assert resolver.cached(NAME, now=answer.expires_at - 0.1) is answer
    assert resolver.cached(NAME, now=answer.expires_at) is None
    assert module.FOUND_S - 1 < answer.expires_at - time.monotonic() <= module.FOUND_S


@pytest.mark.parametrize("host", ["gone.merchant-one.com", "evil.merchant-one.com"])
def test_a_failure_is_kept_for_a_second_at_most(host: str) -> None:
    names = Names()
    names.answers["evil.merchant-one.com"] = [["10.0.0.1"]]
    resolver = Resolver(rules=RULES, resolve=names)
    answer = resolver.wait(host, timeout_s=1)
    assert answer is not None
    assert answer.reason in {Reason.DNS_NOT_FOUND, Reason.BLOCKED_ADDRESS}
    assert answer.addresses == ()
    assert answer.expires_at - time.monotonic() <= 1.0


def test_the_order_of_addresses_is_kept_and_doubles_are_not() -> None:
    names = Names()
    names.answers[NAME] = [["127.0.0.2", "127.0.0.1", "127.0.0.2"]]
    resolver = Resolver(rules=AddressRules((ip_network("127.0.0.0/8"),)), resolve=names)
    answer = resolver.wait(NAME, timeout_s=1)
    assert answer is not None
    assert [str(address) for address in answer.addresses] == ["127.0.0.2", "127.0.0.1"]


def test_an_address_beyond_those_that_are_used_is_judged_all_the_same() -> None:
    names = Names()
    names.answers[NAME] = [[*(f"127.0.1.{number}" for number in range(20)), "10.0.0.1"]]
    resolver = Resolver(rules=AddressRules((ip_network("127.0.0.0/8"),)), resolve=names)
    answer = resolver.wait(NAME, timeout_s=1)
    assert answer is not None
    assert answer.reason is Reason.BLOCKED_ADDRESS


def test_stuck_lookups_are_replaced_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "THREADS", 5)
    release = threading.Event()
    names = Names()

    def resolve(host: str, *_: object, **__: object) -> object:
        if host != NAME:
            release.wait(10)
        return names(NAME)

    resolver = Resolver(rules=RULES, resolve=resolve)  # type: ignore[arg-type]
    arrived: list[Answer] = []
    for number in range(4):
        resolver.ask(f"stuck-{number}.merchant-one.com", arrived.append)
    answer = resolver.wait(NAME, timeout_s=1)
    assert answer is not None
    assert resolver.threads == 5
    for number in range(4, 20):
        resolver.ask(f"stuck-{number}.merchant-one.com", arrived.append)
    assert resolver.threads == 5
    assert arrived == []
    release.set()
    until = time.monotonic() + 5
    while len(arrived) < 20 and time.monotonic() < until:
        time.sleep(0.01)
    assert len(arrived) == 20


def test_names_that_were_slow_share_a_few_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "THREADS", 6)
    monkeypatch.setattr(module, "SLOW_THREADS", 2)
    monkeypatch.setattr(module, "SLOW_S", 0.05)
    monkeypatch.setattr(module, "FOUND_S", 0.0)
    names = Names()
    running: set[str] = set()
    most = 0

    def resolve(host: str, *_: object, **__: object) -> object:
        nonlocal most
        if host != NAME:
            running.add(host)
            most = max(most, len(running))
            time.sleep(0.1)
            running.discard(host)
        return names(NAME)

    resolver = Resolver(rules=RULES, resolve=resolve)  # type: ignore[arg-type]
    slow = [f"slow-{number}.merchant-one.com" for number in range(6)]
    for host in slow:
        assert resolver.wait(host, timeout_s=2) is not None
    most = 0
    for host in slow:
        resolver.ask(host, lambda _: None)
    began = time.monotonic()
    assert resolver.wait(NAME, timeout_s=1) is not None
    assert time.monotonic() - began < 0.1
    time.sleep(0.4)
    assert most == 2


def test_closing_tells_nobody_anything_more() -> None:
    names = Names()
    names.delay_s = 0.1
    resolver = Resolver(rules=RULES, resolve=names)
    arrived: list[Answer] = []
    resolver.ask(NAME, arrived.append)
    resolver.close()
    time.sleep(0.3)
    assert arrived == []
    assert resolver.threads == 0


def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CACHED_NAMES", 3)
    resolver = Resolver(rules=RULES, resolve=Names())
    for number in range(10):
        resolver.wait(f"gone-{number}.merchant-one.com", timeout_s=1)
    now = time.monotonic()
    cached = [number for number in range(10) if resolver.cached(f"gone-{number}.merchant-one.com", now=now)]
    assert cached == [7, 8, 9]
