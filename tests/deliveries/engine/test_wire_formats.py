"""Every wire format, at receivers on real sockets: accepted by their own verifiers as sent, refused when changed."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
import time_machine

from dispatcher.profiles.catalogue import PROFILES
from dispatcher.profiles.model import is_provider_signed
from dispatcher.profiles.secrets import generate
from tests.deliveries.engine.wire_stage import (
    PAYLOAD,
    SIGNED_BY_ENDPOINT,
    Arrival,
    deliver_to_all,
    provider_pair,
    receivers_half,
    signatures_for,
)
from tests.verifiers import VERIFIERS, Delivered, Refused, Verifier, paysera

pytestmark = pytest.mark.django_db
# Deliveries are made once for all tests; the mark makes the database be there.

ODD = """{ "id" : "inv_123456",\t"type":"MK","account":"EVP0012345","statement_id":"77","transfer_id":"78",
 "created_at":1700000000,"dataType":"Object",
 "currency":"","payer_name":null,
 "text":"  A\u010di\u016b \u6f22\u5b57 \u0634\u0643\u0631\u0627 e\u0301 \U0001f9fe\u200d\u2640\ufe0f  ",
 "braces":"{timestamp} {body} {id}.{payload} {{url}} {form_sorted} {items}","percent":"%s %(x)d %% %41 50%",
 "back":"\\\\ \\\\n \\/ \\" \\u20ac \\ud83d\\ude00 \\r\\n\\t","signs":"a&b=c+d;e?f#g~h*i'j","+":"plus","a b":"ž",
 "short":1.10,"huge":1e400,"exact":123456789012345678901234567890.1234567890,"minus":-0.0,"yes":true}""".encode()
# Everything that a template, a form, a shell or a JSON library could take for its own.

ODD_PARAMETERS = [
    ("id", "inv_123456"),
    ("type", "MK"),
    ("account", "EVP0012345"),
    ("statement_id", "77"),
    ("transfer_id", "78"),
    ("created_at", "1700000000"),
    ("dataType", "Object"),
    ("currency", ""),
    ("payer_name", ""),
    ("text", "  Ačiū 漢字 شكرا e\u0301 \U0001f9fe\u200d\u2640\ufe0f  "),
    ("braces", "{timestamp} {body} {id}.{payload} {{url}} {form_sorted} {items}"),
    ("percent", "%s %(x)d %% %41 50%"),
    ("back", '\\ \\n / " € \U0001f600 \r\n\t'),
    ("signs", "a&b=c+d;e?f#g~h*i'j"),
    ("+", "plus"),
    ("a b", "ž"),
    ("short", "1.10"),
    ("huge", "1e400"),
    ("exact", "123456789012345678901234567890.1234567890"),
    ("minus", "-0.0"),
    ("yes", "true"),
]

CASES = [(name, verifier) for name, verifiers in VERIFIERS.items() for verifier in verifiers]
SIGNED = [(name, verifier) for name, verifier in CASES if PROFILES[name].signatures]
TIMED = [(name, verifier) for name, verifier in CASES if verifier.is_timed]
HOUR_S = 3600


def every(cases: list[tuple[str, Verifier]]) -> pytest.MarkDecorator:
    ids = [f"{name}-{verifier.name}" for name, verifier in cases]
    return pytest.mark.parametrize(("profile", "verifier"), cases, ids=ids)


Sent = dict[str, Arrival]


@pytest.fixture(scope="module", params=["curl", "requests"])
def sent_by_each(request: pytest.FixtureRequest, django_db_setup: None, django_db_blocker: Any) -> Iterator[Sent]:
    with django_db_blocker.unblock():
        yield deliver_to_all(PAYLOAD, client=request.param)


@pytest.fixture(scope="module")
def sent(django_db_setup: None, django_db_blocker: Any) -> Iterator[Sent]:
    with django_db_blocker.unblock():
        yield deliver_to_all(PAYLOAD, client="curl")


@pytest.fixture(scope="module")
def sent_odd(django_db_setup: None, django_db_blocker: Any) -> Iterator[Sent]:
    with django_db_blocker.unblock():
        yield deliver_to_all(ODD, client="curl")


def verify(verifier: Verifier, request: Delivered, *, at: float) -> None:
    """As the receiver would at that time."""
    with time_machine.travel(at):
        verifier.verify(request)


def altered(request: Delivered) -> Delivered:
    """One character of what it says is another."""
    if request.body.startswith(b"data="):
        at = len(b"data=") + 8
        body = request.body[:at] + (b"A" if request.body[at : at + 1] != b"A" else b"B") + request.body[at + 1 :]
    else:
        body = request.body.replace(b"inv_123456", b"inv_123457")
    assert body != request.body
    return replace(request, body=body)


def in_other_hands(profile: str, request: Delivered) -> list[Delivered]:
    """The same request at receivers that know another secret, or another key of the provider."""
    others = []
    if profile in SIGNED_BY_ENDPOINT:
        others.append(replace(request, secret=receivers_half(profile, generate(PROFILES[profile]))))
    if is_provider_signed(PROFILES[profile]):
        pair = provider_pair(2)
        others.append(replace(request, public_pem=pair.public_pem, certificate_pem=pair.certificate_pem))
    return others or [replace(request, secret="portfolio-7:another")]


def test_every_profile_has_a_verifier() -> None:
    assert sorted(VERIFIERS) == sorted(PROFILES)
    assert all(VERIFIERS.values())


def test_every_signed_time_is_looked_at() -> None:
    dated = {name for name, profile in PROFILES.items() if any("{timestamp}" in s.message for s in profile.signatures)}
    assert {name for name, _ in TIMED} == dated


@every(CASES)
def test_the_receiver_accepts_what_is_sent(profile: str, verifier: Verifier, sent_by_each: Sent) -> None:
    request, at = sent_by_each[profile]
    verify(verifier, request, at=at)


@every(SIGNED)
def test_an_altered_body_is_refused(profile: str, verifier: Verifier, sent: Sent) -> None:
    request, at = sent[profile]
    with pytest.raises(Refused):
        verify(verifier, altered(request), at=at)


@every(CASES)
def test_a_receiver_with_another_secret_or_key_refuses(profile: str, verifier: Verifier, sent: Sent) -> None:
    request, at = sent[profile]
    for elsewhere in in_other_hands(profile, request):
        with pytest.raises(Refused):
            verify(verifier, elsewhere, at=at)


@every(TIMED)
def test_what_was_signed_an_hour_ago_is_refused(profile: str, verifier: Verifier, sent: Sent) -> None:
    request, at = sent[profile]
    with pytest.raises(Refused):
        verify(verifier, request, at=at + HOUR_S)


@every(TIMED)
def test_a_time_that_was_made_younger_is_refused(profile: str, verifier: Verifier, sent: Sent) -> None:
    """Wherever it stands: in a header of its own, or inside the signature's."""
    request, at = sent[profile]
    # Signed as it left, which may have been in the second before it came.
    for second in (int(at), int(at) - 1):
        for name, value in request.headers.items():
            request = request.with_header(name, value.replace(str(second), str(int(at) + HOUR_S)))
    assert request != sent[profile].request
    with pytest.raises(Refused):
        verify(verifier, request, at=at + HOUR_S)


@every(SIGNED)
def test_without_the_signature_that_it_looks_at_it_is_refused(profile: str, verifier: Verifier, sent: Sent) -> None:
    request, at = sent[profile]
    for signature in signatures_for(profile, verifier):
        if signature.place == "header":
            with pytest.raises(Refused):
                verify(verifier, request.without_header(signature.name), at=at)


@pytest.mark.parametrize(
    ("profile", "field"),
    [(name, item.name) for name, profile in PROFILES.items() for item in profile.signatures if item.place == "field"],
)
def test_each_signature_in_a_form_is_looked_at(profile: str, field: str, sent: Sent, sent_odd: Sent) -> None:
    """With the one of another delivery in its place."""
    request, at = sent[profile]
    fields, others = dict(parse_qsl(request.text)), dict(parse_qsl(sent_odd[profile].request.text))
    for verifier in VERIFIERS[profile]:
        spoilt = replace(request, body=urlencode(fields | {field: others[field]}).encode())
        with pytest.raises(Refused):
            verify(verifier, spoilt, at=at)


class TestOddPayloads:
    """Nothing in a payload means anything to us."""

    @every(CASES)
    def test_they_are_accepted(self, profile: str, verifier: Verifier, sent_odd: Sent) -> None:
        request, at = sent_odd[profile]
        verify(verifier, request, at=at)

    @pytest.mark.parametrize("profile", [name for name, profile in PROFILES.items() if profile.body.kind == "raw"])
    def test_they_are_the_very_body(self, profile: str, sent_odd: Sent) -> None:
        assert sent_odd[profile].request.body == ODD

    @pytest.mark.parametrize("profile", [name for name, profile in PROFILES.items() if profile.body.kind == "envelope"])
    def test_they_stand_in_their_envelope_byte_for_byte(self, profile: str, sent_odd: Sent) -> None:
        body = sent_odd[profile].request.body
        before, found, after = body.partition(ODD)
        assert found
        assert json.loads(before + b"null" + after)
        assert body == body.strip()

    @pytest.mark.parametrize("profile", ["paisr", "paisr-v2"])
    def test_a_thin_body_takes_only_the_id(self, profile: str, sent_odd: Sent) -> None:
        assert sent_odd[profile].request.body == b'{"id":"inv_123456","event":"invoice.paid"}'

    def test_a_form_has_them_as_parameters(self, sent_odd: Sent) -> None:
        text = sent_odd["twilio"].request.text
        assert parse_qsl(text, keep_blank_values=True, strict_parsing=True) == ODD_PARAMETERS

    @pytest.mark.parametrize("profile", ["paysera", "paysera-checkout-classic"])
    def test_paysera_s_data_has_them_as_parameters_without_the_empty_ones(self, profile: str, sent_odd: Sent) -> None:
        expected = [(name, value) for name, value in ODD_PARAMETERS if value]
        assert paysera.parameters(sent_odd[profile].request) == expected
