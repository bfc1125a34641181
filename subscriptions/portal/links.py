"""The page behind a one-time link into a merchant's portal. A GET only shows: mail scanners follow every link."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from subscriptions.portal.doors import open_visit
from subscriptions.services import portal_links

HEADERS = {
    # The address is a key: no cache, no search engine and no other site shall come to know it.
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
}
GUEST = "Guest by link"


@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def enter(request: HttpRequest, token: str) -> HttpResponse:
    """`/portal/enter/<token>`. The page posts itself at once where scripts run.

    The token is the authority, and no CSRF cookie is checked beside it: under `no-referrer` browsers call the page's
    own post one from `null`. A post that another site made is answered with the page, as if it were a GET.
    """
    is_foreign = request.headers.get("Sec-Fetch-Site", "") in {"cross-site", "same-site"}
    if request.method == "POST" and not is_foreign:
        response = _open(request, token)
    else:
        response = render(request, "portal/links/enter.html", {})
    for name, value in HEADERS.items():
        response.headers[name] = value
    return response


def _open(request: HttpRequest, token: str) -> HttpResponse:
    entered = portal_links.redeem(token, now=timezone.now())
    if entered is None:
        # Used, too old or forged: which of them is told to nobody.
        return render(request, "portal/links/gone.html", status=404)
    visit = {
        "role": entered.role,
        "actor": entered.actor,
        "name": GUEST,
        "way": "link",
        "until": int(entered.until.timestamp()),
    }
    open_visit(request, merchant=entered.merchant, visit=visit)
    response = redirect("portal-overview", entered.merchant.public_id)
    response.status_code = 303
    return response
