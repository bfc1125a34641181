"""While a secret or a key of the provider is replaced, no receiver loses an event, whichever of the two it knows."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest
import time_machine

from deliveries.models import Delivery
from dispatcher.profiles.catalogue import PROFILES
from dispatcher.profiles.model import is_provider_signed
from subscriptions.models import Endpoint
from tests.deliveries.engine.wire_stage import (
    OK,
    OVERLAP,
    PAYLOAD,
    SERVER_ERROR,
    SIGNED_BY_ENDPOINT,
    UNAUTHORIZED,
    Arrival,
    Known,
    Stage,
    answering,
    arrivals,
    is_accepted,
    profile_of,
    provider_pair,
    signatures_for,
    stage,
    url_of,
)
from tests.receivers.receiver import Received, Receiver
from tests.verifiers import VERIFIERS, Delivered, Verifier

pytestmark = pytest.mark.django_db

ATTEMPTS = 4
# As many as Paysera's classic Checkout needs to bring every pair of two passwords and two keys.
SIGNED = [name for name, profile in PROFILES.items() if profile.signatures]
CASES = [(name, verifier) for name in SIGNED for verifier in VERIFIERS[name] if verifier.name != "octokit"]


class Rotating(NamedTuple):
    """What a receiver knew before, what it shall know, and the attempts that it refused, in order."""

    old: Known
    new: Known
    attempts: list[Arrival]

    def verdicts(self, verifier: Verifier, known: Known) -> list[bool]:
        """Of a receiver that knows this much."""
        return [is_convinced(verifier, as_known(attempt.request, known), at=attempt.at) for attempt in self.attempts]


def every(place: str, *, is_list: bool) -> pytest.MarkDecorator:
    cases = []
    for name, verifier in CASES:
        signatures = signatures_for(name, verifier)
        if all(item.place == place and (item.join is not None) is is_list for item in signatures):
            cases.append((name, verifier))
    return pytest.mark.parametrize(("profile", "verifier"), cases, ids=[f"{name}-{item.name}" for name, item in cases])


def as_known(request: Delivered, known: Known) -> Delivered:
    return replace(
        request,
        secret=known.secret,
        public_pem=known.pair.public_pem,
        certificate_pem=known.pair.certificate_pem,
    )


def is_convinced(verifier: Verifier, request: Delivered, *, at: float) -> bool:
    with time_machine.travel(at):
        return is_accepted(verifier, request)


def reading_previous(profile: str, request: Delivered) -> Delivered:
    """As seen by a receiver that looks at `<Name>-Previous` in place of `<Name>`, where there is one."""
    for signature in PROFILES[profile].signatures:
        value = request.headers.get(f"{signature.name}-Previous")
        if value is not None:
            request = request.with_header(signature.name, value)
    return request


def register(set_up: Stage, receiver: Receiver, profiles: list[str], *, rotates: set[str]) -> dict[str, Rotating]:
    """Endpoints whose secrets, or the provider's key, were replaced a moment ago."""
    old_pair, new_pair = provider_pair(1), provider_pair(2) if "key" in rotates else provider_pair(1)
    if "key" in rotates:
        set_up.add_provider_key(old_pair, signs_until=datetime.now(UTC) + OVERLAP)
    set_up.add_provider_key(new_pair)
    found = {}
    for name in profiles:
        old = set_up.add_endpoint(name, url_of(receiver, name), pair=old_pair)
        rotated = "secret" in rotates and name in SIGNED_BY_ENDPOINT
        secret = set_up.rotate(name) if rotated else old.secret
        found[name] = Rotating(old, replace(old, secret=secret, pair=new_pair), [])
    return found


def refused_attempts(profiles: list[str], *, rotates: set[str]) -> dict[str, Rotating]:
    """Four attempts at each receiver."""
    with stage() as set_up, Receiver(answering(lambda received: SERVER_ERROR)) as receiver:
        found = register(set_up, receiver, SIGNED, rotates=rotates)
        set_up.publish(PAYLOAD)
        for _ in range(ATTEMPTS):
            set_up.drain()
            set_up.make_due()
    came = arrivals(receiver, {name: rotating.new for name, rotating in found.items()})
    assert {len(attempts) for attempts in came.values()} == {ATTEMPTS}
    return {name: rotating._replace(attempts=came[name]) for name, rotating in found.items()}


@pytest.fixture(scope="module")
def rotating(django_db_setup: None, django_db_blocker: Any) -> Iterator[dict[str, Rotating]]:
    with django_db_blocker.unblock():
        yield refused_attempts(SIGNED, rotates={"secret", "key"})


@every("header", is_list=True)
def test_a_list_convinces_both_each_time(profile: str, verifier: Verifier, rotating: dict[str, Rotating]) -> None:
    seen = rotating[profile]
    assert seen.verdicts(verifier, seen.new) == [True] * ATTEMPTS
    assert seen.verdicts(verifier, seen.old) == [True] * ATTEMPTS


@every("header", is_list=False)
def test_a_single_value_is_the_new_one_s_and_the_previous_the_old_one_s(
    profile: str, verifier: Verifier, rotating: dict[str, Rotating]
) -> None:
    seen = rotating[profile]
    before = [Arrival(reading_previous(profile, request), at) for request, at in seen.attempts]
    previous = seen._replace(attempts=before)
    assert seen.verdicts(verifier, seen.new) == [True] * ATTEMPTS
    assert previous.verdicts(verifier, seen.old) == [True] * ATTEMPTS
    assert seen.verdicts(verifier, seen.old) == [False] * ATTEMPTS
    assert previous.verdicts(verifier, seen.new) == [False] * ATTEMPTS


@pytest.mark.parametrize("verifier", VERIFIERS["paysera"], ids=lambda verifier: verifier.name)
def test_paysera_s_field_is_signed_by_both_keys_in_turn(verifier: Verifier, rotating: dict[str, Rotating]) -> None:
    seen = rotating["paysera"]
    assert seen.verdicts(verifier, seen.new) == [True, False, True, False]
    assert seen.verdicts(verifier, seen.old) == [False, True, False, True]


@pytest.mark.parametrize("verifier", VERIFIERS["paysera-checkout-classic"], ids=lambda verifier: verifier.name)
def test_four_attempts_bring_every_pair_of_password_and_key(verifier: Verifier, rotating: dict[str, Rotating]) -> None:
    seen = rotating["paysera-checkout-classic"]
    mixed = [replace(seen.old, pair=seen.new.pair), replace(seen.new, pair=seen.old.pair)]
    verdicts = [seen.verdicts(verifier, known) for known in (seen.new, *mixed, seen.old)]
    assert sorted(verdicts, reverse=True) == [[place == n for place in range(ATTEMPTS)] for n in range(ATTEMPTS)]
    assert verdicts[0] == [True, False, False, False]


@pytest.mark.parametrize("what", ["secret", "key"])
def test_when_only_one_of_them_is_replaced_two_attempts_are_enough(
    what: str, django_db_setup: None, transactional_db: None
) -> None:
    seen = refused_attempts(["paysera-checkout-classic"], rotates={what})["paysera-checkout-classic"]
    for verifier in VERIFIERS["paysera-checkout-classic"]:
        assert seen.verdicts(verifier, seen.new) == [True, False, True, False]
        assert seen.verdicts(verifier, seen.old) == [False, True, False, True]


@pytest.mark.django_db(transaction=True)
class TestReceiversThatRejectWith401:
    """They verify as they are sent to, and what they refuse is retried."""

    def test_who_knows_the_new_one_gets_everything_at_once(self) -> None:
        assert self._attempts_until_accepted(lambda rotating, number: rotating.new) == dict.fromkeys(SIGNED, 1)

    def test_who_knows_the_old_one_and_reads_previous_gets_everything_by_a_retry_at_the_latest(self) -> None:
        expected = dict.fromkeys(SIGNED, 1) | {"paysera": 2, "paysera-checkout-classic": ATTEMPTS}
        assert self._attempts_until_accepted(lambda rotating, number: rotating.old, reads_previous=True) == expected

    def test_who_does_not_read_previous_and_switches_late_gets_everything_by_a_retry(self) -> None:
        expected = dict.fromkeys(SIGNED, 2) | {
            name: 1 for name in SIGNED if all(item.join is not None for item in PROFILES[name].signatures)
        }
        # The second attempt is the old key's turn, which the receiver has just forgotten.
        turning = {"paysera": 3, "paysera-checkout-classic": 5}
        switching = self._attempts_until_accepted(
            lambda rotating, number: rotating.old if number == 1 else rotating.new
        )
        assert switching == expected | turning

    def _attempts_until_accepted(
        self,
        known: Callable[[Rotating, int], Known],
        *,
        reads_previous: bool = False,
    ) -> dict[str, int]:
        """How many attempts each delivery took; all must have been delivered in the end."""
        found: dict[str, Rotating] = {}
        tries = dict.fromkeys(SIGNED, 0)

        def answer(received: Received) -> bytes:
            name = profile_of(received)
            tries[name] += 1
            request = known(found[name], tries[name]).delivered(received)
            views = [request, *([reading_previous(name, request)] if reads_previous else [])]
            return OK if any(is_accepted(VERIFIERS[name][0], view) for view in views) else UNAUTHORIZED

        with stage() as set_up, Receiver(answering(answer)) as receiver:
            found |= register(set_up, receiver, SIGNED, rotates={"secret", "key"})
            set_up.publish(PAYLOAD)
            for _ in range(ATTEMPTS + 1):
                set_up.drain()
                set_up.make_due()
            names = dict(Endpoint.objects.values_list("id", "profile"))
            statuses = {names[row.endpoint_id]: row.status for row in Delivery.objects.all()}
        assert statuses == dict.fromkeys(SIGNED, "delivered")
        return tries


def test_what_the_provider_signs_is_covered() -> None:
    signed = {name for name, profile in PROFILES.items() if is_provider_signed(profile)}
    assert signed == {"paysera", "paysera-checkout-classic"}
