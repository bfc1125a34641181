"""Setting up an endpoint: create, change, pause and enable it, and its signing secret."""

from datetime import timedelta
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect

from dispatcher.ids import InvalidId, Prefix, parse
from subscriptions.errors import Conflict, Invalid, NotFound, Stale
from subscriptions.models import Endpoint
from subscriptions.portal import endpoint_form
from subscriptions.portal.doors import PortalRequest, page, show
from subscriptions.portal.endpoint_form import Form
from subscriptions.selectors import endpoints as selectors
from subscriptions.selectors import event_types, profiles
from subscriptions.services import address_checks, endpoint_rules, endpoints, shapes, signing_secrets
from subscriptions.services.endpoint_channels import LETTERS

OVERLAPS = ((0, "At once"), (3600, "1 hour"), (86_400, "24 hours"), (604_800, "7 days"))
# How long the old secret goes on signing beside the new one.
AUTH_TYPES = (("none", "None"), ("basic", "Basic"), ("bearer", "Bearer token"), ("header", "Own header"))
TYPE_AGAIN = "Type it again: a stored credential does not go along to another host."
CHECKED_ALONE = frozenset({"url", "headers", "accounts", "retry_schedule", "rate_limit", "max_in_flight", "secret"})


@page(needs="developer")
def create(request: PortalRequest) -> HttpResponse:
    """`/portal/<merchant>/endpoints/new`; the answer to a good form is the only page that shows the secret unasked."""
    if request.method != "POST":
        asked = request.GET.get("channel", "webhook")
        known = dict(endpoint_form.channels())
        return _form(request, endpoint_form.blank(asked if asked in known else "webhook"))
    form = endpoint_form.typed(request.POST)
    try:
        data = endpoint_form.read(form, is_new=True)
        made = endpoints.create(
            merchant=request.visitor.merchant, data=data, now=request.now, actor=request.visitor.actor
        )
    except Invalid as refusal:
        return _form(request, endpoint_form.with_errors(form, refusal), status=422)
    except Conflict as refusal:
        return _form(request, Form(form.values, {"form": refusal.detail}), status=409)
    secret = made.generated or data.get("secret")
    return show(
        request, "portal/endpoints/made.html", {"section": "endpoints", "endpoint": made.endpoint, "secret": secret}
    )


@page(needs="developer")
def edit(request: PortalRequest, endpoint: str) -> HttpResponse:
    """`/portal/<merchant>/endpoints/<endpoint>/edit`"""
    present = find(request, endpoint)
    if request.method != "POST":
        return _form(request, endpoint_form.of(present), present=present)
    form = endpoint_form.typed(request.POST)
    try:
        changed = endpoints.update(
            merchant=request.visitor.merchant,
            endpoint_id=present.id,
            data=endpoint_form.read(form, is_new=False, present=present),
            now=request.now,
            actor=request.visitor.actor,
            expected=_version(form),
        )
    except Invalid as refusal:
        wrong = endpoint_form.with_errors(form, refusal)
        return _form(request, _explained(wrong, present), present=present, status=422)
    except Stale:
        sentence = "Somebody else changed this endpoint meanwhile. Look at it again before you save."
        return _form(request, Form(form.values, {"form": sentence}), present=present, status=409)
    reset = " Its credentials were dropped, because the host changed." if changed.is_auth_reset else ""
    messages.success(request, f"Saved.{reset}")
    return to_page(request, present)


def _explained(form: Form, present: Endpoint) -> Form:
    """Why a credential that is stored has to be typed all the same."""
    is_stored = form.values["auth_type"] == present.auth_type != Endpoint.Auth.NONE
    if "auth" not in form.errors or not is_stored or form.values["auth_secret"]:
        return form
    return Form(form.values, {**form.errors, "auth": TYPE_AGAIN})


@page(needs="developer")
def check(request: PortalRequest) -> HttpResponse:
    """`POST …/endpoints/check?field=url`: that field alone, with what is wrong with it, as it is left."""
    name = request.GET.get("field", "")
    if request.method != "POST" or name not in CHECKED_ALONE:
        raise NotFound("There is no such field.")
    form = endpoint_form.typed(request.POST)
    present = find(request, request.GET["endpoint"]) if "endpoint" in request.GET else None
    try:
        data = endpoint_form.read(form, is_new=present is None, present=present)
        endpoint_rules.check(data, endpoint_rules.CHANGES if present else endpoint_rules.NEW, present=present)
    except Invalid as refusal:
        form = endpoint_form.with_errors(form, refusal)
    error = form.errors.get(name, "") if form.values.get(name) else ""
    return show(
        request, "portal/endpoints/said.html", {"name": name, "error": error, "is_good": bool(form.values[name])}
    )


@page()
def pause(request: PortalRequest, endpoint: str) -> HttpResponse:
    """`POST …/<endpoint>/pause`: what comes meanwhile is held."""
    present = find(request, endpoint)
    if request.method == "POST":
        endpoints.update(
            merchant=request.visitor.merchant,
            endpoint_id=present.id,
            data={"is_active": False},
            now=request.now,
            actor=request.visitor.actor,
        )
        messages.success(request, "Paused. Events that come now are held, and nothing is lost.")
    return to_page(request, present)


@page()
def enable(request: PortalRequest, endpoint: str) -> HttpResponse:
    """`POST …/<endpoint>/enable`"""
    present = find(request, endpoint)
    if request.method == "POST":
        endpoints.enable(
            merchant=request.visitor.merchant, endpoint_id=present.id, now=request.now, actor=request.visitor.actor
        )
        messages.success(request, "Enabled. What was held meanwhile is sent when you release it.")
    return to_page(request, present)


@page(needs="developer")
def secret(request: PortalRequest, endpoint: str) -> HttpResponse:
    """`POST …/<endpoint>/secret`: the current secret, once, for this page; written in the audit log."""
    present = find(request, endpoint)
    if request.method != "POST":
        return to_page(request, present)
    found = signing_secrets.reveal(
        merchant=request.visitor.merchant, endpoint_id=present.id, now=request.now, actor=request.visitor.actor
    )
    return show(
        request,
        "portal/endpoints/secret.html",
        {"section": "endpoints", "endpoint": present, "secret": found.text, "title": "Signing secret"},
    )


@page(needs="developer")
def rotate(request: PortalRequest, endpoint: str) -> HttpResponse:
    """`/portal/<merchant>/endpoints/<endpoint>/rotate`: the question, and the new secret as its answer."""
    present = find(request, endpoint)
    shown = {"section": "endpoints", "endpoint": present, "overlaps": OVERLAPS}
    if request.method != "POST":
        return show(request, "portal/endpoints/rotate.html", {**shown, "overlap": 86_400, "way": "generate"})
    way, text = request.POST.get("way", "generate"), request.POST.get("secret", "").strip()
    asked = request.POST.get("overlap", "")
    overlap = int(asked) if asked in {str(seconds) for seconds, _ in OVERLAPS} else 86_400
    try:
        done = signing_secrets.rotate(
            merchant=request.visitor.merchant,
            endpoint_id=present.id,
            text=_own_secret(text) if way == "own" else None,
            overlap=timedelta(seconds=overlap),
            now=request.now,
            actor=request.visitor.actor,
        )
    except Invalid as refusal:
        error = refusal.errors[0].message
        return show(
            request,
            "portal/endpoints/rotate.html",
            {**shown, "overlap": overlap, "way": way, "error": error},
            status=422,
        )
    return show(
        request,
        "portal/endpoints/secret.html",
        {**shown, "secret": done.text, "title": "New signing secret", "until": done.previous_expires_at},
    )


@page()
def confirm(request: PortalRequest, endpoint: str) -> HttpResponse:
    """`POST …/<endpoint>/confirm`: the code that the owner of an address got; without one a new code is sent."""
    present = find(request, endpoint)
    if request.method == "POST":
        merchant, code = request.visitor.merchant, request.POST.get("code", "").strip()
        if code and "again" not in request.POST:
            _take_code(request, present, code)
        else:
            address_checks.ask_again(
                merchant=merchant, endpoint_id=present.id, now=request.now, actor=request.visitor.actor
            )
            messages.success(request, "A new code is on its way.")
    return to_page(request, present)


def _take_code(request: PortalRequest, endpoint: Endpoint, code: str) -> None:
    try:
        address_checks.confirm(
            merchant=request.visitor.merchant,
            endpoint_id=endpoint.id,
            code=code,
            now=request.now,
            actor=request.visitor.actor,
        )
        messages.success(request, "Confirmed. Events are sent there from now on.")
    except Invalid as refusal:
        messages.error(request, refusal.errors[0].message)


def _own_secret(text: str) -> str:
    """Raises Invalid for what no secret may look like; whether it fits the format is the service's to say."""
    values, faults = shapes.read({"secret": text}, {"secret": endpoint_rules.check_secret})
    if faults:
        raise Invalid(*faults)
    return str(values["secret"])


def find(request: PortalRequest, named: str) -> Endpoint:
    """The visitor's merchant's living endpoint. Raises NotFound."""
    return selectors.get(request.visitor.merchant, endpoint_id(named))


def endpoint_id(named: str) -> UUID:
    try:
        return parse(Prefix.ENDPOINT, named)
    except InvalidId:
        raise NotFound("There is no such endpoint.") from None


def to_page(request: PortalRequest, endpoint: Endpoint) -> HttpResponse:
    response = redirect("portal-endpoint", request.visitor.merchant.public_id, endpoint.public_id)
    response.status_code = 303
    return response


def _form(request: PortalRequest, form: Form, *, present: Endpoint | None = None, status: int = 200) -> HttpResponse:
    tree = endpoint_form.groups(event_types.on_offer())
    shown = {
        "section": "endpoints",
        "form": form,
        "endpoint": present,
        "groups": tree,
        "kept": endpoint_form.kept_prefixes(form, tree),
        "channels": endpoint_form.channels(),
        "is_letter": form.values["channel"] in LETTERS,
        "profiles": profiles.listed(after=None, limit=500),
        "auth_types": AUTH_TYPES,
        "belongs_to_rule": present is not None and present.rule_id is not None,
    }
    return show(request, "portal/endpoints/form.html", shown, status=status)


def _version(form: Form) -> set[int] | None:
    text = str(form.values.get("version", ""))
    # More digits than any version has are no version, and too many of them no number to Python.
    return {int(text[:18])} if text.isascii() and text.isdigit() else None
