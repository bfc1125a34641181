"""The question to the owner of an address or number, is this yours and do you want this, and what the owner answers.

No code is stored: it is made from SECRET_KEY and the question, so that neither a database dump nor a broker message
holds one.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.utils.crypto import constant_time_compare, salted_hmac

from subscriptions.errors import Conflict, FieldError, Invalid, TooMany
from subscriptions.models import AddressCheck, AuditEntry, Endpoint, Merchant
from subscriptions.services import address_tokens, audit, bell, endpoint_rows
from subscriptions.services.endpoint_channels import UNSUBSCRIBED, is_letter, may_be_sent_to, missing
from subscriptions.services.locks import lock_endpoint

CODE_DIGITS = 6
TRIES = 5
LIFETIME = timedelta(hours=1)
# Long enough for a mail that was held up; a code that nobody can guess in five tries may live so long.
PAUSE = timedelta(seconds=60)
# Between two codes to one address: the first is usually still under way.
DAY = timedelta(days=1)
MOST_TO_ADDRESS = 10
# Codes a day from one merchant to one address: nobody's phone is flooded, and all tries together are 50 in a million.
MOST_OF_MERCHANT = 50
# Codes a day from one merchant. Twenty endpoints, each asked twice, fit.

SENT = "endpoint.verification_sent"
BY_RECIPIENT = "recipient"
# The actor of what the owner of an address did, who has no key and no account.


@dataclass(frozen=True, slots=True)
class Question:
    """What is shown to the owner of an address: who wants to send there. `code` is for the letter only."""

    endpoint: Endpoint
    check: AddressCheck

    @property
    def code(self) -> str:
        return _code(self.check.endpoint_id, self.check.sent_at)

    @property
    def link(self) -> str:
        return address_tokens.confirm_url(self.check, self.endpoint.target)


def ask(endpoint: Endpoint, *, now: datetime, actor: str) -> AddressCheck:
    """For services that hold the endpoint's lock: put the question, and have it sent after the commit.

    A question that was open before is void. Raises TooMany, and then nothing has changed.
    """
    _check_limits(endpoint, now=now)
    values = {
        "digest": _digest(endpoint.id, _code(endpoint.id, now)),
        "tries_left": TRIES,
        "sent_at": now,
        "expires_at": now + LIFETIME,
    }
    check, _ = AddressCheck.objects.update_or_create(endpoint=endpoint, defaults=values)
    _note(endpoint, SENT, now=now, actor=actor, detail={"to": endpoint.target})
    bell.ring_for_code(endpoint.id)
    return check


@transaction.atomic
def ask_again(*, merchant: Merchant, endpoint_id: UUID, now: datetime, actor: str) -> AddressCheck:
    """A new code for an endpoint whose owner has not said yes. Raises NotFound, Conflict or TooMany."""
    endpoint = lock_endpoint(endpoint_id, merchant=merchant)
    _require_open(endpoint)
    if why := missing(endpoint.channel):
        raise Conflict(why, code="channel_unavailable")
    last = AddressCheck.objects.filter(endpoint=endpoint).first()
    if last is not None and now < last.sent_at + PAUSE:
        wait_s = max(1, round((last.sent_at + PAUSE - now).total_seconds()))
        raise TooMany(f"A code was just sent. Ask again in {wait_s} seconds.", retry_after_s=wait_s)
    return ask(endpoint, now=now, actor=actor)


def confirm(*, merchant: Merchant, endpoint_id: UUID, code: str, now: datetime, actor: str) -> Endpoint:
    """The owner's yes: the endpoint is switched on. Raises NotFound, Conflict or Invalid.

    A wrong code uses up a try, also where the caller is refused: so this opens a transaction of its own, and must not
    be called inside another one.
    """
    with transaction.atomic(durable=True):
        endpoint = lock_endpoint(endpoint_id, merchant=merchant)
        _require_open(endpoint)
        refusal = _judge(endpoint, code, now=now)
        if refusal is None:
            _accept(endpoint, now=now, actor=actor)
    if refusal is not None:
        raise refusal
    return endpoint


@transaction.atomic
def confirm_by_link(token: str, *, now: datetime) -> Endpoint | None:
    """The owner's yes from the link beside the code; None for a link that is forged, replaced or too old."""
    question = find_question(token, now=now)
    if question is None:
        return None
    endpoint = lock_endpoint(question.endpoint.id)
    # Asked again under the lock: a new code, or another address, makes the link void.
    if find_question(token, now=now) is None:
        return None
    _accept(endpoint, now=now, actor=BY_RECIPIENT)
    return endpoint


def find_question(token: str, *, now: datetime) -> Question | None:
    """The open question behind a link."""
    question = find_open(address_tokens.confirm_id(token), now=now)
    if question is None or not address_tokens.is_confirm(token, question.check, question.endpoint.target):
        return None
    return question


def find_open(endpoint_id: UUID | None, *, now: datetime) -> Question | None:
    """The endpoint's question if it is still open."""
    rows = AddressCheck.objects.select_related("endpoint__owner").filter(expires_at__gt=now, endpoint__deleted_at=None)
    check = rows.filter(endpoint_id=endpoint_id).first() if endpoint_id else None
    return Question(check.endpoint, check) if check else None


def find_subscribed(token: str) -> Endpoint | None:
    """The endpoint behind an unsubscribe link; None for a forged link, and once the address is another."""
    endpoint_id = address_tokens.unsubscribe_id(token)
    rows = Endpoint.objects.select_related("owner").filter(deleted_at=None)
    endpoint = rows.filter(id=endpoint_id).first() if endpoint_id else None
    return endpoint if endpoint and address_tokens.is_unsubscribe(token, endpoint) else None


@transaction.atomic
def unsubscribe(token: str, *, now: datetime) -> Endpoint | None:
    """The owner wants nothing more. Only a new yes ends this. Repeating it changes nothing."""
    found = find_subscribed(token)
    if found is None:
        return None
    endpoint = lock_endpoint(found.id)
    if not address_tokens.is_unsubscribe(token, endpoint):
        return None
    if endpoint.disabled_reason != UNSUBSCRIBED or endpoint.verified_at is not None:
        endpoint_rows.close(endpoint, reason=UNSUBSCRIBED, now=now)
        endpoint_rows.save(endpoint, now=now)
        _note(endpoint, "endpoint.unsubscribed", now=now, actor=BY_RECIPIENT)
    AddressCheck.objects.filter(endpoint=endpoint).delete()
    return endpoint


def _require_open(endpoint: Endpoint) -> None:
    if not is_letter(endpoint):
        raise Conflict("A webhook needs no verification.", code="not_for_channel")
    if may_be_sent_to(endpoint):
        raise Conflict("The owner of this address has confirmed it already.", code="already_verified")


def _check_limits(endpoint: Endpoint, *, now: datetime) -> None:
    sent = AuditEntry.objects.filter(merchant_id=endpoint.owner_id, action=SENT, created_at__gt=now - DAY)
    details = list(sent.order_by("-id").values_list("detail", flat=True)[:MOST_OF_MERCHANT])
    to_address = sum(detail.get("to") == endpoint.target for detail in details)
    if to_address >= MOST_TO_ADDRESS or len(details) >= MOST_OF_MERCHANT:
        whose = "to this address" if to_address >= MOST_TO_ADDRESS else "for this merchant"
        wait_s = int(DAY.total_seconds())
        raise TooMany(f"Too many codes were sent {whose} within a day.", retry_after_s=wait_s, code="too_many_codes")


def _judge(endpoint: Endpoint, code: str, *, now: datetime) -> Invalid | Conflict | None:
    """Uses up a try for a wrong code; the endpoint's lock lets one caller at a time do so."""
    check = AddressCheck.objects.filter(endpoint=endpoint).first()
    if check is None or check.expires_at <= now:
        return Conflict("There is no open question to this address: ask for a new code.", code="code_expired")
    if check.tries_left == 0:
        return Conflict("This code was tried too often: ask for a new one.", code="no_tries_left")
    if constant_time_compare(bytes(check.digest), _digest(endpoint.id, code)):
        return None
    check.tries_left -= 1
    check.save(update_fields=["tries_left"])
    tries = "1 try is" if check.tries_left == 1 else f"{check.tries_left} tries are"
    return Invalid(FieldError("/code", "wrong_code", f"This is not the code that was sent; {tries} left."))


def _accept(endpoint: Endpoint, *, now: datetime, actor: str) -> None:
    endpoint.verified_at = now
    endpoint_rows.switch(endpoint, is_active=True, now=now)
    endpoint_rows.save(endpoint, now=now)
    AddressCheck.objects.filter(endpoint=endpoint).delete()
    _note(endpoint, "endpoint.verified", now=now, actor=actor)


def _code(endpoint_id: UUID, sent_at: datetime) -> str:
    """Six digits that only this installation can know: they come from its key, not from the database."""
    digest = salted_hmac("address-code", f"{endpoint_id} {sent_at.timestamp():.6f}", algorithm="sha256").digest()
    return f"{int.from_bytes(digest) % 10**CODE_DIGITS:0{CODE_DIGITS}}"


def _digest(endpoint_id: UUID, code: str) -> bytes:
    """Keyed as well: six digits under a plain hash are found in a second."""
    return salted_hmac(f"address-check:{endpoint_id}", code, algorithm="sha256").digest()


def _note(endpoint: Endpoint, action: str, *, now: datetime, actor: str, detail: dict[str, str] | None = None) -> None:
    audit.note(
        actor=actor,
        action=action,
        target=endpoint.public_id,
        merchant_id=endpoint.owner_id,
        detail=detail,
        now=now,
    )
