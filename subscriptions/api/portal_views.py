"""The provider's routes below /api/v2/merchants that let people into a merchant's portal."""

from uuid import UUID

from django.conf import settings
from django.urls import reverse
from rest_framework.request import Request
from rest_framework.response import Response

from dispatcher.ids import InvalidId, Prefix, parse
from subscriptions.api import pagination, representations
from subscriptions.api.base import ProviderView
from subscriptions.api.merchant_views import NO_STORE
from subscriptions.errors import NotFound
from subscriptions.models import Membership
from subscriptions.selectors import merchants as merchant_selectors
from subscriptions.services import members, portal_links


class PortalLinksView(ProviderView):
    """/merchants/{id or reference}/portal-links"""

    def post(self, request: Request, merchant: str) -> Response:  # noqa: ARG002 - as the framework has it
        return self.create(lambda: self._create(merchant))

    def _create(self, merchant: str) -> Response:
        made = portal_links.create(
            merchant=merchant_selectors.get(merchant),
            data=self.read(may_be_empty=True),
            now=self.now,
            actor=self.actor,
        )
        path = reverse("portal-enter", args=[made.token])
        shown = {
            "id": made.row.public_id,
            "url": f"{settings.PUBLIC_URL}{path}"
            if settings.PUBLIC_URL
            else self.http_request.build_absolute_uri(path),
            "access": made.row.access,
            "expires_at": made.row.expires_at,
        }
        return Response(shown, status=201, headers=NO_STORE)


class MembersView(ProviderView):
    """/merchants/{id or reference}/members"""

    def get(self, request: Request, merchant: str) -> Response:
        owner = merchant_selectors.get(merchant)
        return Response(
            pagination.page(
                Membership.objects.filter(merchant=owner).select_related("user"),
                query=request.query_params,
                scope=f"members:{owner.id}",
                show=lambda rows: [representations.member(row) for row in rows],
            )
        )

    def post(self, request: Request, merchant: str) -> Response:  # noqa: ARG002
        return self.create(lambda: self._create(merchant))

    def _create(self, merchant: str) -> Response:
        owner = merchant_selectors.get(merchant)
        added = members.add_by_email(merchant=owner, data=self.read(), now=self.now, actor=self.actor)
        location = f"{self.http_request.path}/{added.member.public_id}"
        return Response(representations.member(added.member), status=201, headers={"Location": location})


class MemberView(ProviderView):
    """/merchants/{id or reference}/members/{member}"""

    def patch(self, request: Request, merchant: str, member: str) -> Response:  # noqa: ARG002
        owner = merchant_selectors.get(merchant)
        row = members.change(
            merchant=owner, member_id=_member_id(member), data=self.read(), now=self.now, actor=self.actor
        )
        return Response(representations.member(row))

    def delete(self, request: Request, merchant: str, member: str) -> Response:  # noqa: ARG002
        owner = merchant_selectors.get(merchant)
        members.remove(merchant=owner, member_id=_member_id(member), now=self.now, actor=self.actor)
        return Response(status=204)


def _member_id(text: str) -> UUID:
    try:
        return parse(Prefix.MEMBERSHIP, text)
    except InvalidId:
        raise NotFound("There is no such member.") from None
