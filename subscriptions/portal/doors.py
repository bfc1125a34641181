"""Who may see a portal page, and as whom: every page of the portal begins here.

A page lies under `/portal/<merchant id>/`. Its visitor is a member of that merchant, somebody who came by a one-time
link, or an operator who looks at the portal as the merchant sees it. For everybody else the merchant does not exist.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.middleware.gzip import GZipMiddleware
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods

from dispatcher.ids import InvalidId, Prefix, parse
from subscriptions.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Overloaded,
    Refusal,
    Stale,
    TooLarge,
    TooMany,
)
from subscriptions.models import Membership, Merchant
from subscriptions.selectors import merchants

Role = Membership.Role
RANKS = {Role.VIEWER: 0, Role.DEVELOPER: 1, Role.OWNER: 2}
# Each role may do what those before it may.
VISITS_KEY = "portal_visits"
# In the session: for each merchant's id how somebody who is no member came in, and until when.
OPERATOR = "operator"
ENTER = "subscriptions.enter_portal"
# An operator's permission to look into merchants' portals.
STATUS_OF = {
    NotFound: 404,
    Forbidden: 403,
    Conflict: 409,
    Stale: 409,
    TooLarge: 413,
    # Before the wider one: the first that fits counts.
    Overloaded: 503,
    TooMany: 429,
    Invalid: 422,
}


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody on a page of a merchant. `actor` stands in the audit log. `way` is member, link or operator."""

    merchant: Merchant
    role: str
    actor: str
    name: str
    way: str

    @property
    def may_write(self) -> bool:
        return self.is_at_least(Role.DEVELOPER)

    @property
    def may_make_keys(self) -> bool:
        """A visit by a link ends within hours; a key that it made would not."""
        return self.may_write and self.way == "member"

    @property
    def may_manage(self) -> bool:
        """Members and what they may do."""
        return self.is_at_least(Role.OWNER)

    def is_at_least(self, role: str) -> bool:
        return RANKS[Role(self.role)] >= RANKS[Role(role)]


def _no_view(request: HttpRequest) -> HttpResponseBase:
    raise NotImplementedError


COMPRESS = GZipMiddleware(_no_view)
# A page of the log is a tenth of its size then. It pads answers by random lengths, so that their sizes tell nothing of
# what stands in them; Django masks its CSRF tokens anew in each. Files of exports are not rendered here.


class PortalRequest(HttpRequest):
    """A request that `page` let in."""

    visitor: Visitor
    now: datetime
    user: User | AnonymousUser


View = Callable[..., HttpResponseBase]


def page(*, needs: str = Role.VIEWER, to_change: str = Role.DEVELOPER) -> Callable[[View], View]:
    """Let in who has the role `needs`, and for a POST the role `to_change`; the view gets a PortalRequest without the
    merchant's id. What services refuse becomes a page that says so; views catch what they can say better."""

    def make(view: View) -> View:
        @wraps(view)
        def shown(request: PortalRequest, merchant: str, **named: Any) -> HttpResponseBase:
            request.now = timezone.now()
            visitor = find_visitor(request, merchant)
            if visitor is not None and _holds_nul(request):
                return render(request, "portal/missing.html", status=404)
            if visitor is None:
                return _turn_away(request)
            request.visitor = visitor
            try:
                _check_role(visitor, to_change if request.method == "POST" else needs)
                return view(request, **named)
            except Refusal as refusal:
                return refuse(request, refusal)

        return require_http_methods(["GET", "HEAD", "POST"])(shown)

    return make


def find_visitor(request: HttpRequest, named: str) -> Visitor | None:
    """None when the merchant does not exist, as far as this browser may know."""
    try:
        merchant_id = parse(Prefix.MERCHANT, named)
    except InvalidId:
        return None
    if request.user.is_authenticated:
        rows = Membership.objects.select_related("merchant", "merchant__parent")
        member = rows.filter(user=request.user, merchant_id=merchant_id, merchant__deleted_at=None).first()
        if member is not None:
            name = request.user.get_full_name() or request.user.get_username()
            return Visitor(member.merchant, member.role, f"user:{request.user.get_username()}", name, "member")
    return _guest(request, named)


def _guest(request: HttpRequest, named: str) -> Visitor | None:
    visit = visits(request).get(named)
    merchant = merchants.find(named) if visit else None
    if visit is None or merchant is None:
        return None
    return Visitor(merchant, str(visit["role"]), str(visit["actor"]), str(visit["name"]), str(visit["way"]))


def visits(request: HttpRequest) -> Mapping[str, Mapping[str, Any]]:
    """The visits that have not ended, by merchant id."""
    now_s, kept = timezone.now().timestamp(), request.session.get(VISITS_KEY, {}).items()
    return {key: visit for key, visit in kept if visit["until"] > now_s and _may_still(request, visit)}


def _may_still(request: HttpRequest, visit: Mapping[str, Any]) -> bool:
    """An operator's visit ends with the login and with the right to it, whatever time it had left."""
    user = request.user
    return visit["way"] != OPERATOR or (
        isinstance(user, User) and user.is_staff and user.has_perm(ENTER) and visit["actor"] == f"user:{user.username}"
    )


def open_visit(request: HttpRequest, *, merchant: Merchant, visit: Mapping[str, Any]) -> None:
    """Let this browser in as `visit` says: `role`, `actor`, `name`, `way` (link or operator), `until` (Unix seconds).

    The session gets a new key, so that one which somebody planted before is worth nothing.
    """
    request.session.cycle_key()
    request.session[VISITS_KEY] = dict(visits(request)) | {merchant.public_id: dict(visit)}


def show(request: PortalRequest, template: str, shown: Mapping[str, Any], *, status: int = 200) -> HttpResponse:
    """Render a page or a fragment of the portal; `visitor` and `merchant` are there for all of them."""
    named = {"visitor": request.visitor, "merchant": request.visitor.merchant, **shown}
    response = render(request, template, named, status=status)
    COMPRESS.process_response(request, response)
    return response


def is_fragment(request: HttpRequest) -> bool:
    """Whether htmx asks for a part of a page; a page that it restores from history is whole."""
    return "HX-Request" in request.headers and "HX-History-Restore-Request" not in request.headers


def refuse(request: PortalRequest, refusal: Refusal) -> HttpResponse:
    """The page, or the fragment, that says why not."""
    status = next(status for kind, status in STATUS_OF.items() if isinstance(refusal, kind))
    template = "portal/parts/refused.html" if is_fragment(request) else "portal/refused.html"
    response = show(request, template, {"status": status, "sentence": refusal.sentence}, status=status)
    if isinstance(refusal, TooMany):
        response.headers["Retry-After"] = str(refusal.retry_after_s)
    return response


def go_back(request: HttpRequest, home: str) -> HttpResponseRedirect:
    """To where the posted form came from (its field `back`), if that is a page of the portal; else to `home`."""
    back = request.POST.get("back", "")
    is_ours = back.startswith("/portal/") and url_has_allowed_host_and_scheme(back, allowed_hosts=None)
    response = HttpResponseRedirect(back if is_ours else home)
    response.status_code = 303
    return response


def _holds_nul(request: HttpRequest) -> bool:
    """Postgres takes no U+0000 in text: no stored name can match, and asking would be an error there."""
    return "\x00" in request.path or any("\x00" in value for _, values in request.GET.lists() for value in values)


def _check_role(visitor: Visitor, role: str) -> None:
    if not visitor.is_at_least(role):
        raise Forbidden(f"Your role here is {visitor.role}. Only {_or_more(role)} may do this.", code="role_too_low")


def _or_more(role: str) -> str:
    return "owners" if role == Role.OWNER else "developers and owners"


def _turn_away(request: HttpRequest) -> HttpResponse:
    """Who is not signed in may sign in; for everybody else there is nothing here."""
    if request.user.is_authenticated or visits(request):
        return render(request, "portal/missing.html", status=404)
    target = request.get_full_path() if request.method == "GET" and not is_fragment(request) else reverse("portal")
    address = f"{reverse('portal-login')}?{urlencode({'next': target})}"
    if is_fragment(request):
        return HttpResponse(status=204, headers={"HX-Redirect": address})
    return redirect(address)
