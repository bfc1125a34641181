"""The people of a merchant: everybody sees them, owners let others in and out."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect

from dispatcher.ids import InvalidId, Prefix, parse
from subscriptions.errors import Conflict, Invalid, NotFound
from subscriptions.models import Membership
from subscriptions.portal import pages
from subscriptions.portal.doors import PortalRequest, page, show
from subscriptions.portal.typed import read_text
from subscriptions.services import members
from subscriptions.services.endpoint_channels import missing

ROLES = (
    ("viewer", "Viewer", "Looks at everything, changes nothing."),
    (
        "developer",
        "Developer",
        "Also sets up endpoints and API keys, tests, resends. Hears when an endpoint fails.",
    ),
    ("owner", "Owner", "Also decides who is in the team."),
)


@page(to_change="owner")
def team(request: PortalRequest) -> HttpResponse:
    """`/portal/<merchant>/team/`: the list, and for a POST a new member."""
    if request.method != "POST":
        return _list(request)
    email, role = read_text(request.POST, "email"), read_text(request.POST, "role")
    try:
        added = members.add_by_email(
            merchant=request.visitor.merchant,
            data={"email": email, "role": role},
            now=request.now,
            actor=request.visitor.actor,
        )
    except Invalid as refusal:
        errors = {fault.pointer.strip("/"): fault.message for fault in refusal.errors}
        return _list(request, typed={"email": email, "role": role}, errors=errors, status=422)
    except Conflict as refusal:
        return _list(request, typed={"email": email, "role": role}, errors={"email": refusal.detail}, status=409)
    if added.is_invited:
        messages.success(request, f"Added. A mail to {email} says how to choose a password.")
    else:
        messages.success(request, f"{added.member.user.get_username()} is in the team.")
    return _to_team(request)


@page(to_change="owner")
def change(request: PortalRequest, member: str) -> HttpResponse:
    """`POST …/team/<member>/role`"""
    if request.method == "POST":
        changed = members.change(
            merchant=request.visitor.merchant,
            member_id=_id(member),
            data={"role": read_text(request.POST, "role")},
            now=request.now,
            actor=request.visitor.actor,
        )
        messages.success(request, f"{changed.user.get_username()} is now {changed.role}.")
    return _to_team(request)


@page(needs="owner", to_change="owner")
def remove(request: PortalRequest, member: str) -> HttpResponse:
    """`/portal/<merchant>/team/<member>/remove`: the question, and its yes."""
    rows = Membership.objects.filter(id=_id(member), merchant=request.visitor.merchant).select_related("user")
    found = rows.first()
    if found is None:
        raise NotFound("There is no such member.")
    is_self = found.user_id == request.user.pk
    if request.method != "POST":
        return show(request, "portal/team/remove.html", {"section": "team", "member": found, "is_self": is_self})
    members.remove(merchant=request.visitor.merchant, member_id=found.id, now=request.now, actor=request.visitor.actor)
    messages.success(request, f"{found.user.get_username()} is no longer in the team.")
    return redirect("portal") if is_self else _to_team(request)


@page(to_change="owner")
def invite(request: PortalRequest, member: str) -> HttpResponse:
    """`POST …/team/<member>/invite`: the mail again."""
    if request.method == "POST":
        found = members.invite_again(
            merchant=request.visitor.merchant, member_id=_id(member), now=request.now, actor=request.visitor.actor
        )
        messages.success(request, f"Another mail to {found.user.email} is on its way.")
    return _to_team(request)


def _list(
    request: PortalRequest,
    *,
    typed: dict[str, str] | None = None,
    errors: dict[str, str] | None = None,
    status: int = 200,
) -> HttpResponse:
    rows = Membership.objects.filter(merchant=request.visitor.merchant).select_related("user")
    shown = {
        "section": "team",
        "page": pages.read(rows, request, prefix=Prefix.MEMBERSHIP),
        "roles": ROLES,
        "typed": typed or {"role": "developer"},
        "errors": errors or {},
        "has_mail": not missing("email"),
    }
    return show(request, "portal/team/list.html", shown, status=status)


def _to_team(request: PortalRequest) -> HttpResponse:
    response = redirect("portal-team", request.visitor.merchant.public_id)
    response.status_code = 303
    return response


def _id(named: str) -> UUID:
    try:
        return parse(Prefix.MEMBERSHIP, named)
    except InvalidId:
        raise NotFound("There is no such member.") from None
