"""What counts as received in each wire format, and what is tried again: Paysera wants `OK`, its Checkout obeys 401."""

from typing import Any

import pytest

from deliveries.models import Attempt, Delivery
from dispatcher.ack import ANY_SUCCESS
from dispatcher.profiles.catalogue import PROFILES
from tests.deliveries.engine.wire_stage import OK, PAYLOAD, answering, provider_pair, stage, url_of
from tests.receivers.receiver import Receiver

pytestmark = pytest.mark.django_db(transaction=True)

WANTS_OK = ["paysera", "paysera-checkout-classic"]
DELIVERED = ("delivered", "delivered")
NOT_OK = ("pending", "ack_missing")


def answer_with(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


def send_to(profile: str, *answers: bytes) -> list[dict[str, Any]]:
    """The delivery's state after each of as many attempts."""
    left = list(answers)
    states = []
    with stage() as set_up, Receiver(answering(lambda received: left.pop(0))) as receiver:
        set_up.add_provider_key(provider_pair(1))
        set_up.add_endpoint(profile, url_of(receiver, profile), pair=provider_pair(1))
        set_up.publish(PAYLOAD)
        for number in range(1, len(answers) + 1):
            set_up.drain()
            delivery = Delivery.objects.get()
            attempt = Attempt.objects.filter(number=number).first()
            states.append(
                {
                    "status": delivery.status,
                    "is_retried": delivery.next_attempt_at is not None,
                    "reason": attempt and attempt.reason,
                    "detail": attempt and attempt.detail,
                }
            )
            set_up.make_due()
    return states


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"OK", DELIVERED),
        (b"OK;code=12", DELIVERED),
        (b"OKAY", DELIVERED),
        (b"OK\n", DELIVERED),
        (b"", NOT_OK),
        (b"ok", NOT_OK),
        (b"Ok", NOT_OK),
        (b"O", NOT_OK),
        (b" OK", NOT_OK),
        (b"\nOK", NOT_OK),
        (b"\xef\xbb\xbfOK", NOT_OK),
        (b'"OK"', NOT_OK),
        (b"<html>OK</html>", NOT_OK),
    ],
)
def test_paysera_s_receivers_confirm_with_a_body_that_starts_with_ok(body: bytes, expected: tuple[str, str]) -> None:
    [state] = send_to("paysera", answer_with(body))
    assert (state["status"], state["reason"]) == expected
    assert state["is_retried"] is (expected is NOT_OK)
    assert state["detail"] == ("The answer does not start with 'OK'." if expected is NOT_OK else "")


@pytest.mark.parametrize("profile", WANTS_OK)
def test_a_bare_200_is_tried_again_until_ok_comes(profile: str) -> None:
    states = send_to(profile, answer_with(b"thanks"), answer_with(b""), OK)
    assert [(state["status"], state["reason"]) for state in states] == [NOT_OK, NOT_OK, DELIVERED]


def test_ok_does_not_make_a_failure_a_success() -> None:
    [state] = send_to("paysera", answer_with(b"OK", b"500 No"))
    assert (state["status"], state["reason"]) == ("pending", "http_server_error")


@pytest.mark.parametrize("profile", [name for name in PROFILES if name not in WANTS_OK])
def test_all_others_are_content_with_a_2xx(profile: str) -> None:
    assert PROFILES[profile].ack is ANY_SUCCESS


def test_paysera_s_checkout_stops_at_401() -> None:
    states = send_to("paysera-checkout", answer_with(b"", b"401 No"), OK)
    assert [(state["status"], state["is_retried"]) for state in states] == [("failed", False), ("failed", False)]
    assert states[1]["reason"] is None


def test_all_others_go_on_after_a_401() -> None:
    states = send_to("gateway", answer_with(b"", b"401 No"), OK)
    assert [(state["status"], state["is_retried"]) for state in states] == [("pending", True), ("delivered", False)]
