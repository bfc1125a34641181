"""Reasons in plain words: one for each, and advice that somebody can follow."""

import re

import pytest

from dispatcher.outcomes import Reason
from dispatcher.words import ADVICE, WORDS, said

NEEDS_NOBODY = {Reason.DELIVERED, Reason.INTERRUPTED, Reason.CANCELLED, Reason.INTERNAL_ERROR}


def test_every_reason_has_words() -> None:
    assert set(WORDS) == set(Reason)
    assert len(set(WORDS.values())) == len(WORDS)


def test_every_reason_that_somebody_can_mend_has_advice() -> None:
    assert set(ADVICE) == set(Reason) - NEEDS_NOBODY


@pytest.mark.parametrize("text", [*WORDS.values()])
def test_words_are_for_people(text: str) -> None:
    assert re.fullmatch(r"[A-Z][^_.]{3,80}", text)


@pytest.mark.parametrize("text", [*ADVICE.values()])
def test_advice_is_one_or_two_sentences(text: str) -> None:
    assert re.fullmatch(r"[A-Z][^_]{8,110}\.", text)


@pytest.mark.parametrize(
    ("reason", "status", "text"),
    [
        ("delivered", 200, "Delivered"),
        ("delivered", None, "Delivered"),
        ("http_server_error", 503, "Answered 503"),
        ("http_gone", 410, "Answered 410"),
        ("http_server_error", None, "The receiver failed"),
        ("ack_missing", 200, "Answered, but not with the agreed acknowledgement (200)"),
        ("response_timeout", None, "No complete answer in time"),
        ("tls_cert_expired", None, "The certificate has expired"),
        ("recipient_refused", 550, "Refused for good: the address takes no letters (550)"),
        ("a_reason_of_tomorrow", None, "a_reason_of_tomorrow"),
        (None, None, ""),
        (None, 500, ""),
    ],
)
def test_what_became_of_an_attempt(reason: str | None, status: int | None, text: str) -> None:
    assert said(reason, status) == text
