"""The way into the portal: user name or e-mail address and password, and which merchant's portal is meant."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth import authenticate, login, logout
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_safe

from dispatcher.ids import InvalidId, Prefix, parse
from subscriptions.portal.doors import visits
from subscriptions.portal.typed import read_text
from subscriptions.selectors import portal_merchants
from subscriptions.services.endpoint_channels import missing

WRONG = "This name and password do not belong together. Mind upper and lower case."
# Says the same of names that nobody has.


@sensitive_post_parameters("password")
@csrf_protect
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    """`/portal/login/`; `next` is kept, and followed only to this host. Tries are counted by the login throttle."""
    target = _target(request)
    if request.method != "POST":
        return redirect(target) if request.user.is_authenticated else _form(request, target)
    name = read_text(request.POST, "username")
    user = authenticate(request, username=_user_name(name), password=request.POST.get("password", ""))
    if user is None:
        return _form(request, target, name=name, error=WRONG)
    login(request, user)
    return redirect(target)


@require_http_methods(["POST"])
def sign_out(request: HttpRequest) -> HttpResponse:
    """`POST /portal/logout/`: also ends what was opened by a link."""
    logout(request)
    messages.info(request, "You are signed out.")
    return redirect("portal-login")


@never_cache
@require_safe
def chooser(request: HttpRequest) -> HttpResponse:
    """`/portal/`: straight to the only merchant, or the list of them."""
    here = visited_ids(request)
    if not request.user.is_authenticated and not here:
        return redirect("portal-login")
    text = read_text(request.GET, "q")
    user_id = request.user.pk if request.user.is_authenticated else None
    found = portal_merchants.find(user_id=user_id, also=here, text=text)
    if len(found.rows) == 1 and not text:
        return redirect("portal-overview", found.rows[0].merchant.public_id)
    shown = {
        "found": found,
        "text": text,
        "is_operator": isinstance(request.user, User) and request.user.is_staff,
        "is_signed_in": request.user.is_authenticated,
    }
    return render(request, "portal/sign_in/chooser.html", shown)


def visited_ids(request: HttpRequest) -> list[UUID]:
    """The merchants that this browser was let into without being a member."""
    found = []
    for named in visits(request):
        try:
            found.append(parse(Prefix.MERCHANT, named))
        except InvalidId:
            continue
    return found


def _form(request: HttpRequest, target: str, *, name: str = "", error: str = "") -> HttpResponse:
    shown = {"target": target, "name": name, "error": error, "has_mail": not missing("email")}
    return render(request, "portal/sign_in/login.html", shown)


def _target(request: HttpRequest) -> str:
    wanted = request.POST.get("next") or request.GET.get("next", "")
    is_here = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return wanted if is_here else reverse("portal")


def _user_name(typed: str) -> str:
    """The name of the one user with this address; else what was typed, which then is a name or nobody's."""
    if "@" not in typed or User.objects.filter(username=typed).exists():
        return typed
    names = User.objects.filter(email__iexact=typed, is_active=True).order_by("id").values_list("username", flat=True)
    found = list(names[:2])
    return found[0] if len(found) == 1 else typed
