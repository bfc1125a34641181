"""A merchant's API keys: made, shown once, revoked."""

from datetime import timedelta

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect

from dispatcher.ids import InvalidId, Prefix, parse
from subscriptions.errors import Forbidden, NotFound
from subscriptions.models import ApiKey
from subscriptions.portal import pages
from subscriptions.portal.doors import PortalRequest, page, show
from subscriptions.portal.typed import read_text
from subscriptions.services import keys, shapes

LIVES = (("", "Never"), ("30", "In 30 days"), ("90", "In 90 days"), ("365", "In a year"))
NAME_LENGTH = 255


@page()
def key_list(request: PortalRequest) -> HttpResponse:
    """`/portal/<merchant>/keys/`; with `all=1` revoked ones too."""
    rows = ApiKey.objects.filter(merchant=request.visitor.merchant)
    is_all = "all" in request.GET
    found = pages.read(rows if is_all else rows.filter(revoked_at=None), request, prefix=Prefix.API_KEY)
    shown = {"section": "keys", "page": found, "is_all": is_all, "now": request.now}
    return show(request, "portal/keys/list.html", shown)


@page(needs="developer")
def create(request: PortalRequest) -> HttpResponse:
    """`/portal/<merchant>/keys/new`; the answer to a good form is the only page that ever shows the key."""
    if not request.visitor.may_make_keys:
        raise Forbidden("Only members of the team make API keys, not who came by a link.", code="members_only")
    shown = {"section": "keys", "lives": LIVES, "name": "", "days": "", "errors": {}}
    if request.method != "POST":
        return show(request, "portal/keys/form.html", shown)
    name, days = read_text(request.POST, "name"), read_text(request.POST, "days")
    errors = _faults(name, days)
    if errors:
        return show(
            request, "portal/keys/form.html", shown | {"name": name, "days": days, "errors": errors}, status=422
        )
    made = keys.create(
        name=name,
        merchant=request.visitor.merchant,
        expires_at=request.now + timedelta(days=int(days)) if days else None,
        now=request.now,
        actor=request.visitor.actor,
    )
    return show(request, "portal/keys/made.html", {"section": "keys", "key": made.row, "text": made.text})


@page(needs="developer")
def revoke(request: PortalRequest, key: str) -> HttpResponse:
    """`/portal/<merchant>/keys/<key>/revoke`: the question, and its yes."""
    found = _find(request, key)
    if request.method != "POST":
        return show(request, "portal/keys/revoke.html", {"section": "keys", "key": found})
    keys.revoke(key_id=found.id, merchant=request.visitor.merchant, now=request.now, actor=request.visitor.actor)
    messages.success(request, f"{found.name} is revoked. It stopped working at once.")
    response = redirect("portal-keys", request.visitor.merchant.public_id)
    response.status_code = 303
    return response


def _find(request: PortalRequest, named: str) -> ApiKey:
    try:
        rows = ApiKey.objects.filter(id=parse(Prefix.API_KEY, named), merchant=request.visitor.merchant)
    except InvalidId:
        rows = ApiKey.objects.none()
    found = rows.filter(revoked_at=None).first()
    if found is None:
        raise NotFound("There is no such key, or it was revoked already.")
    return found


def _faults(name: str, days: str) -> dict[str, str]:
    errors = {}
    try:
        shapes.line(most=NAME_LENGTH)(name)
    except shapes.Wrong as found:
        errors["name"] = str(found) if name else "Give it a name, so that you know later where it is used."
    if days not in dict(LIVES):
        errors["days"] = "Choose one of these."
    return errors
