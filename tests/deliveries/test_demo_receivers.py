"""The demo's receivers verify what the platform signs, by code of their own, and nothing else."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from random import Random

import pytest

from deliveries.demo.model import Event, System
from deliveries.demo.receivers import Known, Reader, Reading, card, gateway, paisr, paysafe, paysera
from deliveries.demo.receivers.paysera import PayseraReader, PublishedKeys, read_keys
from deliveries.demo.systems import SYSTEMS
from deliveries.receiver import Verdict
from dispatcher.profiles.catalogue import PROFILES
from dispatcher.profiles.engine import Auth, Message, ProviderKey, Rendered, Secret, Wire, prepare
from dispatcher.profiles.key_pairs import KeyPair, make_key_pair
from dispatcher.profiles.secrets import generate
from dispatcher.targets import Target

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
TARGET = Target("http", "127.0.0.1", 45001, "/in")
FORMATS = {"paysera": "paysera", "paysafe": "paysafe", "paisr": "paisr", "paisr-v2": "paisr", "gateway": "gateway"}
FORMATS["default"] = "card"
AUTH = Auth("basic", "harbour", "copper")


@cache
def key_pair(number: int) -> KeyPair:
    return make_key_pair("rsa", common_name=f"test {number}", now=NOW)


def published(*pairs: KeyPair) -> bytes:
    """As /.well-known/webhook-keys has them."""
    entries = [
        {"algorithm": "rsa", "public_key_pem": pair.public_pem, "certificate_pem": pair.certificate_pem}
        for pair in pairs
    ]
    other = {"algorithm": "ed25519", "public_key_pem": "no", "certificate_pem": "no"}
    return json.dumps({"data": [other, *entries]}).encode()


def reader_of(profile: str) -> Reader:
    by_profile: dict[str, Reader] = {
        "paysera": PayseraReader(PublishedKeys(lambda: published(key_pair(1)))),
        "paysafe": paysafe.read,
        "paisr": paisr.read_v1,
        "paisr-v2": paisr.read_v2,
        "gateway": gateway.read,
        "default": card.read,
    }
    return by_profile[profile]


def system_of(profile: str) -> System:
    return next(system for system in SYSTEMS if system.name == FORMATS[profile])


def known_of(profile: str) -> Known:
    """What the merchant has noted."""
    if profile == "paysera":
        return Known("paysera", profile)
    if profile == "gateway":
        return Known("gateway", profile, None, AUTH.name, AUTH.secret)
    return Known(FORMATS[profile], profile, generate(PROFILES[profile]))


def sent(profile: str, known: Known, event: Event, *, attempt: int = 1, pair: int = 1) -> Rendered:
    """What the platform sends."""
    message = Message(
        event_id="evt_1",
        event_type=event.type,
        payload=json.dumps(event.payload, ensure_ascii=False).encode(),
        occurred_at=NOW,
        account=event.account,
        merchant="mer_1",
        delivery_id="del_1",
        attempt=attempt,
        now=NOW,
    )
    wire = Wire(
        PROFILES[profile],
        TARGET,
        (Secret(known.secret),) if known.secret else (),
        auth=AUTH if profile == "gateway" else Auth(),
        provider_keys=(ProviderKey("rsa", key_pair(pair).private_pem),) if profile == "paysera" else (),
    )
    return prepare(wire)(message)


def read(profile: str, known: Known, rendered: Rendered, *, body: bytes | None = None, now: datetime = NOW) -> Reading:
    headers = {name.lower(): value for name, value in rendered.headers}
    return reader_of(profile)(known, headers, rendered.body if body is None else body, now.timestamp())


every_format = pytest.mark.parametrize("profile", FORMATS)


def events(profile: str, count: int) -> list[Event]:
    source = system_of(profile).source(Random(profile))
    return [source.draw(NOW) for _ in range(count)]


@every_format
def test_what_the_platform_sends_is_verified_and_recognised(profile: str) -> None:
    known = known_of(profile)

    for event in events(profile, 60):
        reading = reader_of(profile)
        rendered = sent(profile, known, event)
        headers = {name.lower(): value for name, value in rendered.headers}
        found = reading(known, headers, rendered.body, NOW.timestamp())
        assert (found.verdict, found.key) == (Verdict.GOOD, event.key)


def tampered(profile: str, body: bytes) -> bytes:
    """Still of its form, and something else."""
    if profile == "paysera":
        return body.replace(b"data=", b"data=AAAA", 1)
    if profile == "gateway":
        return body.replace(b'"dataType"', b'"dataTipe"', 1)
    return body.replace(b'": "', b'":  "', 1) if b'": "' in body else body.replace(b'":"', b'": "', 1)


@every_format
def test_a_changed_body_is_not_verified(profile: str) -> None:
    known, event = known_of(profile), events(profile, 1)[0]
    rendered = sent(profile, known, event)
    changed = tampered(profile, rendered.body)
    assert changed != rendered.body

    try:
        reading = read(profile, known, rendered, body=changed)
    except (ValueError, LookupError):
        return  # no longer of its form: the receiver counts that as bad
    assert reading.verdict is Verdict.BAD


@pytest.mark.parametrize("profile", ["paysafe", "paisr", "paisr-v2", "default"])
def test_another_secret_does_not_verify(profile: str) -> None:
    known, event = known_of(profile), events(profile, 1)[0]
    rendered = sent(profile, known, event)
    other = replace(known, secret=generate(PROFILES[profile]))

    assert read(profile, other, rendered).verdict is Verdict.BAD
    assert read(profile, replace(known, secret=None), rendered).verdict is None


def test_the_gateway_s_page_wants_its_own_credentials() -> None:
    known, event = known_of("gateway"), events("gateway", 1)[0]
    rendered = sent("gateway", known, event)

    assert read("gateway", replace(known, password="other"), rendered).verdict is Verdict.BAD
    assert read("gateway", replace(known, username=""), rendered).verdict is None


def test_an_old_timestamp_is_refused_by_version_2() -> None:
    known, event = known_of("paisr-v2"), events("paisr-v2", 1)[0]
    rendered = sent("paisr-v2", known, event)
    late = datetime.fromtimestamp(NOW.timestamp() + 301, UTC)

    assert read("paisr-v2", known, rendered, now=late).verdict is Verdict.EXPIRED


def test_every_attempt_of_paysafe_is_signed_anew() -> None:
    known, event = known_of("paysafe"), events("paysafe", 1)[0]
    bodies = {attempt: sent("paysafe", known, event, attempt=attempt) for attempt in (1, 2)}

    assert [json.loads(bodies[attempt].body)["attemptNumber"] for attempt in (1, 2)] == ["1", "2"]
    assert {read("paysafe", known, rendered).verdict for rendered in bodies.values()} == {Verdict.GOOD}


@pytest.fixture
def fetches() -> list[bytes]:
    return [published(key_pair(1)), published(key_pair(2), key_pair(1))]


class TestPublishedKeys:
    def test_key_and_certificate_say_the_same(self) -> None:
        numbers = {key.public_numbers() for key in read_keys(published(key_pair(1)))}

        assert len(read_keys(published(key_pair(1)))) == 2
        assert len(numbers) == 1

    def test_a_new_key_is_fetched_when_it_is_met(self, fetches: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(paysera, "FETCH_EVERY_S", 0.0)
        reader = PayseraReader(PublishedKeys(lambda: fetches.pop(0)))
        known, event = known_of("paysera"), events("paysera", 1)[0]

        for pair in (1, 1, 2, 1):
            body = sent("paysera", known, event, pair=pair).body
            assert reader(known, {}, body, NOW.timestamp()).verdict is Verdict.GOOD
        assert fetches == []

    def test_nonsense_is_bad_and_is_not_a_reason_to_fetch_all_the_time(self) -> None:
        count = 0

        def fetch() -> bytes:
            nonlocal count
            count += 1
            return published(key_pair(2))

        reader = PayseraReader(PublishedKeys(fetch))
        known, event = known_of("paysera"), events("paysera", 1)[0]
        body = sent("paysera", known, event).body

        for _ in range(5):
            assert reader(known, {}, body, NOW.timestamp()).verdict is Verdict.BAD
        assert count == 1

    def test_without_the_keys_nothing_is_said(self) -> None:
        def fetch() -> bytes:
            raise ConnectionRefusedError

        reader = PayseraReader(PublishedKeys(fetch))
        known, event = known_of("paysera"), events("paysera", 1)[0]

        with pytest.raises(ConnectionRefusedError):
            reader(known, {}, sent("paysera", known, event).body, NOW.timestamp())


def test_the_receivers_know_nothing_of_the_code_that_signs(readers_source: Callable[[], str]) -> None:
    assert "dispatcher" not in readers_source()


@pytest.fixture
def readers_source() -> Callable[[], str]:
    from pathlib import Path

    folder = Path(paysera.__file__).parent
    return lambda: "\n".join(path.read_text() for path in folder.glob("*.py"))
