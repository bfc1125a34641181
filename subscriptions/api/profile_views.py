"""/profiles: the wire formats that a merchant's endpoints may name."""

from django.conf import settings
from rest_framework.request import Request
from rest_framework.response import Response

from dispatcher.profiles.declaration import declare_ack
from dispatcher.profiles.model import Profile
from subscriptions.api import pagination
from subscriptions.api.base import MerchantView
from subscriptions.api.representations import Shown
from subscriptions.selectors import profiles
from subscriptions.selectors.profiles import Listed


class ProfilesView(MerchantView):
    """The same for every merchant: built-in formats first, then the provider's own by name."""

    def get(self, request: Request) -> Response:
        query, scope = request.query_params, f"profiles:{self.merchant.id}"
        limit = pagination.read_limit(query)
        cursor = query.get("cursor")
        after = pagination.read_cursor(cursor, scope=scope) if cursor else None
        found = profiles.listed(after=after, limit=limit + 1)
        next_cursor = pagination.make_cursor(found[limit - 1].name, scope=scope) if len(found) > limit else None
        # What cannot be read any more is not on offer, but the page goes on behind it.
        shown = [_shown(row, row.format) for row in found[:limit] if row.format]
        return Response({"data": shown, "next_cursor": next_cursor})


def _shown(row: Listed, profile: Profile) -> Shown:
    """`retry_schedule` is null where the platform's own applies, as with endpoints."""
    retry = profile.retry
    has_own_retry = retry.schedule is not None or retry.retries is not None
    return {
        "name": row.name,
        "description": row.description,
        "is_built_in": row.is_built_in,
        "signed_by": _signed_by(profile),
        "secret_form": None if profile.key_form == "none" else profile.key_form,
        "headers": _headers(profile),
        "ack": declare_ack(profile.ack),
        "retry_schedule": list(retry.waits(settings.RETRY_SCHEDULE)) if has_own_retry else None,
    }


def _signed_by(profile: Profile) -> str | None:
    """`secret` also where the provider's key signs beside it: that is what a receiver has to keep."""
    signers = {signature.signer for signature in profile.signatures}
    if "endpoint" in signers:
        return "secret"
    return "provider" if signers else None


def _headers(profile: Profile) -> list[str]:
    """The names of those that it sets beside the content type; signatures last."""
    signatures = [signature.name for signature in profile.signatures if signature.place == "header"]
    return [*[name for name, _ in profile.headers], *signatures]
