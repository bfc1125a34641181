"""Trying an endpoint from its page: whether anybody answers, and a test event of one's own making."""

from typing import Any

from django.conf import settings
from django.http import HttpResponse

from deliveries.portal.details import attempt_shown
from deliveries.portal.endpoint_tabs import endpoint_page, trial_shown
from deliveries.services import connectivity, trial
from dispatcher.strict_json import UnreadableJson, check_json
from dispatcher.words import ADVICE, said
from subscriptions.errors import FieldError, Invalid, NotFound
from subscriptions.models import Endpoint
from subscriptions.portal.doors import PortalRequest, is_fragment, page, show
from subscriptions.portal.endpoints import find


@page(needs="developer")
def sample(request: PortalRequest, endpoint: str) -> HttpResponse:
    """`GET …/<endpoint>/sample?event_type=`: the field with the sample, for htmx."""
    row = find(request, endpoint)
    return show(request, "portal/endpoints/sample.html", {"endpoint": row, **trial_shown(request, row)})


@page(needs="developer")
def connect(request: PortalRequest, endpoint: str) -> HttpResponse:
    """`POST …/<endpoint>/connectivity`: whether anybody answers at the URL."""
    row = find(request, endpoint)
    if request.method != "POST":
        raise NotFound("A connection is tried by its button.")
    outcome = connectivity.check(endpoint=row, actor=request.visitor.actor, now=request.now)
    shown = {
        "endpoint": row,
        "outcome": outcome,
        "is_reached": outcome.status is not None,
        "said": said(outcome.reason, outcome.status),
        "advice": "" if outcome.status is not None else ADVICE.get(outcome.reason, ""),
    }
    return _answer(request, row, "portal/endpoints/reached.html", shown)


@page(needs="developer")
def send(request: PortalRequest, endpoint: str) -> HttpResponse:
    """`POST …/<endpoint>/test` with `event_type` and `payload`, both optional: a signed test event, now."""
    row = find(request, endpoint)
    if request.method != "POST":
        raise NotFound("A test event is sent by its button.")
    text = request.POST.get("payload", "").strip()
    try:
        made = trial.make(
            endpoint=row,
            event_type=request.POST.get("event_type") or None,
            payload=_payload(text) if text else None,
            actor=request.visitor.actor,
            now=request.now,
        )
    except Invalid as refusal:
        shown = {"endpoint": row, "fault": refusal.errors[0].message, "payload": text} | _kept_type(request, row)
        return _answer(request, row, "portal/endpoints/tested.html", shown, status=422)
    advice = ADVICE.get(made.attempt.reason, "")
    shown = {
        "endpoint": row,
        "trial": made,
        "said": said(made.attempt.reason, made.attempt.response_status),
        "advice": advice,
        **attempt_shown(made.attempt, made.event),
    }
    return _answer(request, row, "portal/endpoints/tested.html", shown)


def _kept_type(request: PortalRequest, row: Endpoint) -> dict[str, Any]:
    """The type that was chosen, for the form that is shown again."""
    chosen = request.POST.get("event_type", "")
    return {"event_type": chosen} if chosen in trial_shown(request, row)["types"] else {}


def _payload(text: str) -> bytes:
    """The text as it was typed. Raises Invalid for what is no JSON, or too much of it."""
    raw = text.encode(errors="replace")
    try:
        check_json(raw)
    except UnreadableJson as trouble:
        sentence = trouble.detail.replace("The body", "The payload", 1)
        raise Invalid(FieldError("/payload", trouble.code, sentence)) from None
    if len(raw) > settings.PAYLOAD_MAX_BYTES:
        raise Invalid(
            FieldError(
                "/payload", "payload_too_large", f"The payload has more than {settings.PAYLOAD_MAX_BYTES} bytes."
            )
        )
    return raw


def _answer(
    request: PortalRequest, row: Endpoint, template: str, shown: dict[str, Any], *, status: int = 200
) -> HttpResponse:
    """The fragment, or without scripts the whole page with it."""
    if is_fragment(request):
        return show(request, template, shown, status=status)
    return endpoint_page(request, row, tab="test", shown={"answer": template, **shown}, status=status)
