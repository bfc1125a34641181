"""Rotation on the wire: whose key signs when, where the old one's signature goes, and that nobody is left out."""

import base64
import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from urllib.parse import parse_qs

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from dispatcher.profiles import engine
from dispatcher.profiles.catalogue import PROFILES
from dispatcher.profiles.engine import Message, ProviderKey, Rendered, Secret, prepare, provider_families
from dispatcher.profiles.key_pairs import KeyPair, make_key_pair
from dispatcher.profiles.model import Body, Profile, ProfileError, Signature
from tests.dispatcher.profile_samples import BODY, MESSAGE, NOW, headers, render, wire

HOUR = timedelta(hours=1)
PAYMENT = b'{"type":"MK","account":"EVP1","amount":"1.10"}'
CLASSIC = "paysera-checkout-classic"


@cache
def pair(name: str, family: str) -> KeyPair:
    """The same pair for the same name."""
    return make_key_pair(family, common_name=name, now=NOW)


def key(
    name: str, *, family: str = "rsa", signs_from: datetime | None = None, signs_until: datetime | None = None
) -> ProviderKey:
    return ProviderKey(family, pair(name, family).private_pem, signs_from, signs_until)


def attempt(number: int, *, now: datetime = NOW) -> Message:
    return MESSAGE._replace(payload=PAYMENT, attempt=number, now=now)


def fields(rendered: Rendered) -> dict[str, str]:
    return {name: value for name, [value] in parse_qs(rendered.body.decode(), strict_parsing=True).items()}


def rsa_signer(form: dict[str, str], *, field: str = "sign", digest: hashes.HashAlgorithm | None = None) -> str:
    """Which of the keys `old`, `new`, `other` made the field's signature."""
    signature = base64.urlsafe_b64decode(form[field])
    for name in ("old", "new", "other"):
        public = serialization.load_pem_public_key(pair(name, "rsa").public_pem.encode())
        assert isinstance(public, rsa.RSAPublicKey)
        try:
            public.verify(signature, form["data"].encode(), padding.PKCS1v15(), digest or hashes.SHA1())
        except InvalidSignature:
            continue
        return name
    raise AssertionError("no key verifies")


def secret_signer(form: dict[str, str], names: Iterable[str]) -> str:
    [name] = [name for name in names if hashlib.md5((form["data"] + name).encode()).hexdigest() == form["ss1"]]
    return name


ROTATING = (
    key("new", signs_from=NOW + HOUR),
    key("old", signs_from=NOW - HOUR, signs_until=NOW + 2 * HOUR),
)


class TestTimes:
    @pytest.mark.parametrize(
        ("at", "odd", "even"),
        [
            (NOW, "old", "old"),
            (NOW + HOUR - timedelta.resolution, "old", "old"),
            (NOW + HOUR, "new", "old"),
            (NOW + 2 * HOUR - timedelta.resolution, "new", "old"),
            (NOW + 2 * HOUR, "new", "new"),
            (NOW + 1000 * HOUR, "new", "new"),
        ],
    )
    def test_keys_sign_from_their_start_to_before_their_end(self, at: datetime, odd: str, even: str) -> None:
        renderer = prepare(wire("paysera", provider_keys=ROTATING))
        signers = [rsa_signer(fields(renderer(attempt(number, now=at)))) for number in (1, 2, 3, 4)]
        assert signers == [odd, even, odd, even]

    def test_one_renderer_stays_right_while_time_goes_by_and_when_a_clock_is_set_back(self) -> None:
        renderer = prepare(wire("paysera", provider_keys=ROTATING))
        hours = [0, 1, 3, 1, 0]
        signers = [rsa_signer(fields(renderer(attempt(1, now=NOW + hour * HOUR)))) for hour in hours]
        assert signers == ["old", "new", "new", "new", "old"]

    def test_what_has_ended_signs_nowhere(self) -> None:
        ended = key("old", signs_from=NOW - 2 * HOUR, signs_until=NOW)
        renderer = prepare(wire("paysera", provider_keys=(ended,)))
        with pytest.raises(ProfileError, match=r"needs a key of the provider \(rsa\)"):
            renderer(attempt(1))
        assert rsa_signer(fields(renderer(attempt(1, now=NOW - timedelta.resolution)))) == "old"

    def test_before_any_has_begun_the_first_to_begin_signs(self) -> None:
        later = (key("new", signs_from=NOW + 2 * HOUR), key("old", signs_from=NOW + HOUR, signs_until=NOW + 3 * HOUR))
        assert rsa_signer(fields(render("paysera", provider_keys=later, message=attempt(1)))) == "old"

    def test_keys_of_families_that_the_profile_does_not_use_change_nothing(self) -> None:
        others = tuple(replace(one, family="ec") for one in ROTATING)
        with pytest.raises(ProfileError, match="needs a key of the provider"):
            prepare(wire("paysera", provider_keys=others))
        renderer = prepare(wire("paysera", provider_keys=(*others, key("other"))))
        assert [rsa_signer(fields(renderer(attempt(number)))) for number in (1, 2)] == ["other", "other"]

    def test_without_anything_that_begins_or_ends_nothing_looks_at_the_clock(self) -> None:
        """The way of every endpoint that does not rotate costs what it did before."""
        renderer = prepare(wire("default", "secret"))
        with_end = prepare(wire("default", Secret("secret", NOW + HOUR)))
        assert "moments" not in renderer.__code__.co_freevars
        assert "moments" in with_end.__code__.co_freevars

    def test_a_key_is_loaded_once_for_all_endpoints(self) -> None:
        engine._provider_signer.cache_clear()
        for _ in range(3):
            render("paysera", provider_keys=(key("old"),), message=attempt(1))
        assert engine._provider_signer.cache_info().misses == 1


class TestPlaces:
    def test_a_list_carries_every_live_key_s(self) -> None:
        signature = Signature("X-Sig", "pem", algorithm="ed25519", encoding="base64", join=" ", signer="provider")
        profile = Profile("own", "a test", signatures=(replace(signature, item="v1a,{signature}"),))
        keys = tuple(
            replace(key(name, family="ed25519"), signs_from=NOW - age * HOUR, signs_until=until)
            for age, (name, until) in enumerate([("c", None), ("b", NOW + HOUR), ("a", NOW + HOUR), ("ended", NOW)])
        )
        items = headers(render(profile, provider_keys=keys))["X-Sig"].split(" ")
        assert len(items) == 3
        for item, name in zip(items, "cba", strict=True):
            public = serialization.load_pem_public_key(pair(name, "ed25519").public_pem.encode())
            assert isinstance(public, Ed25519PublicKey)
            public.verify(base64.b64decode(item.removeprefix("v1a,")), BODY)

    def test_a_single_header_names_the_newest_and_the_one_before_at_every_attempt(self) -> None:
        profile = Profile(
            "own",
            "a test",
            signatures=(
                Signature("X-Sig", "pem", algorithm="rsa-sha256", encoding="base64url", signer="provider"),
                Signature("X-Hmac", "utf8"),
            ),
        )
        keys = (key("new"), key("old", signs_until=NOW + HOUR), key("other", signs_until=NOW + HOUR))
        secrets = ("b", Secret("a", NOW + HOUR))
        for number in (1, 2, 3, 4):
            sent = headers(render(profile, *secrets, provider_keys=keys, message=MESSAGE._replace(attempt=number)))
            form = {"data": BODY.decode()} | sent
            signers = [rsa_signer(form, field=name, digest=hashes.SHA256()) for name in ("X-Sig", "X-Sig-Previous")]
            assert signers == ["new", "old"]
            assert [sent["X-Hmac"], sent["X-Hmac-Previous"]] == [
                hmac.digest(secret, BODY, "sha256").hex() for secret in (b"b", b"a")
            ]

    def test_a_field_takes_the_newest_and_the_one_before_in_turn_and_never_a_third(self) -> None:
        keys = (key("new"), key("old", signs_until=NOW + HOUR), key("other", signs_until=NOW + HOUR))
        sent = [fields(render("paysera", provider_keys=keys, message=attempt(number))) for number in range(1, 7)]
        assert [rsa_signer(form) for form in sent] == ["new", "old"] * 3
        assert {frozenset(form) for form in sent} == {frozenset({"data", "sign"})}
        assert len({form["data"] for form in sent}) == 1

    def test_the_secret_of_a_form_takes_turns_as_well(self) -> None:
        renderer = prepare(wire(CLASSIC, "second", Secret("first", NOW + HOUR), provider_keys=(key("old"),)))
        during = [fields(renderer(attempt(number))) for number in (1, 2, 3, 4)]
        assert [secret_signer(form, ("first", "second")) for form in during] == ["second", "first"] * 2
        after = [fields(renderer(attempt(number, now=NOW + HOUR))) for number in (1, 2)]
        assert [secret_signer(form, ("first", "second")) for form in after] == ["second", "second"]

    def test_a_form_s_two_digests_are_of_the_same_key(self) -> None:
        keys = (key("new"), key("old", signs_until=NOW + HOUR))
        for number, expected in ((1, "new"), (2, "old"), (3, "new")):
            form = fields(render(CLASSIC, "secret", provider_keys=keys, message=attempt(number)))
            assert rsa_signer(form, field="ss2") == expected
            assert rsa_signer(form, field="ss3", digest=hashes.SHA256()) == expected

    def test_a_receiver_that_checks_two_signatures_meets_its_pair_within_four_attempts(self) -> None:
        """One that knows the new secret and still the old key only would otherwise never accept."""
        keys = (key("new"), key("old", signs_until=NOW + HOUR))
        renderer = prepare(wire(CLASSIC, "second", Secret("first", NOW + HOUR), provider_keys=keys))
        forms = [fields(renderer(attempt(number))) for number in (1, 2, 3, 4)]
        pairs = [(secret_signer(form, ("first", "second")), rsa_signer(form, field="ss2")) for form in forms]
        assert pairs == [("second", "new"), ("first", "new"), ("second", "old"), ("first", "old")]

    def test_a_list_in_a_field_carries_all_at_every_attempt(self) -> None:
        signature = Signature("sig", "utf8", message="{payload}", join=",", place="field")
        profile = Profile("own", "a test", body=Body("form"), signatures=(signature,))
        expected = ",".join(hmac.digest(secret, PAYMENT, "sha256").hex() for secret in (b"b", b"a"))
        for number in (1, 2):
            assert fields(render(profile, "b", Secret("a", NOW + HOUR), message=attempt(number)))["sig"] == expected


def test_which_families_sign_in_which_profile() -> None:
    needed = {name: provider_families(profile) for name, profile in PROFILES.items() if provider_families(profile)}
    assert needed == {"paysera": frozenset({"rsa"}), CLASSIC: frozenset({"rsa"})}


def unknown() -> Any:
    return Profile("own", "a test", signatures=(Signature("X-Sig", "utf8", signer="provider"),))


def test_an_algorithm_that_no_key_of_the_provider_has_is_refused() -> None:
    assert provider_families(unknown()) == frozenset()
    with pytest.raises(ProfileError, match="needs a key of the provider"):
        prepare(wire(unknown(), provider_keys=ROTATING))
