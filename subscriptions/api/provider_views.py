"""The provider's routes below /api/v2 that concern merchants, accounts, keys and event types."""

from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from dispatcher.ids import InvalidId, Prefix, parse
from subscriptions.api import pagination, representations
from subscriptions.api.base import ProviderView
from subscriptions.api.merchant_views import NO_STORE
from subscriptions.errors import FieldError, Invalid, NotFound
from subscriptions.models import ApiKey
from subscriptions.selectors import event_types as event_type_selectors
from subscriptions.selectors import merchants as merchant_selectors
from subscriptions.services import event_types, keys, merchants, shapes

NEW_KEY: shapes.Shape = {
    "name": shapes.line(most=255),
    "expires_at": shapes.nullable(shapes.moment),
}


class MerchantsView(ProviderView):
    """/merchants"""

    def get(self, request: Request) -> Response:
        return Response(
            pagination.page(
                merchant_selectors.living(),
                query=request.query_params,
                scope="merchants",
                show=lambda rows: [representations.merchant(row) for row in rows],
            )
        )

    def post(self, request: Request) -> Response:  # noqa: ARG002 - the framework's signature, here and below
        return self.create(self._create)

    def _create(self) -> Response:
        row = merchants.create(data=self.read(), now=self.now, actor=self.actor)
        location = f"{self.http_request.path}/{row.public_id}"
        return Response(representations.merchant(row), status=201, headers={"Location": location})


class MerchantDetailView(ProviderView):
    """/merchants/{id or reference}"""

    def get(self, request: Request, merchant: str) -> Response:  # noqa: ARG002
        return Response(representations.merchant(merchant_selectors.get(merchant)))

    def patch(self, request: Request, merchant: str) -> Response:  # noqa: ARG002
        row = merchants.update(
            merchant=merchant_selectors.get(merchant), data=self.read(), now=self.now, actor=self.actor
        )
        return Response(representations.merchant(row))

    def delete(self, request: Request, merchant: str) -> Response:  # noqa: ARG002
        merchants.delete(merchant=merchant_selectors.get(merchant), now=self.now, actor=self.actor)
        return Response(status=204)


class AccountView(ProviderView):
    """/merchants/{id or reference}/accounts/{reference}"""

    def put(self, request: Request, merchant: str, reference: str) -> Response:  # noqa: ARG002
        _expect_nothing(self.read(may_be_empty=True))
        account, is_new = merchants.put_account(
            merchant=merchant_selectors.get(merchant), reference=reference, now=self.now, actor=self.actor
        )
        return Response(representations.account(account), status=201 if is_new else 200)

    def delete(self, request: Request, merchant: str, reference: str) -> Response:  # noqa: ARG002
        merchants.delete_account(
            merchant=merchant_selectors.get(merchant), reference=reference, now=self.now, actor=self.actor
        )
        return Response(status=204)


class KeysView(ProviderView):
    """/merchants/{id or reference}/api-keys"""

    def get(self, request: Request, merchant: str) -> Response:
        owner = merchant_selectors.get(merchant)
        return Response(
            pagination.page(
                ApiKey.objects.filter(merchant=owner).select_related("merchant"),
                query=request.query_params,
                scope=f"keys:{owner.id}",
                show=lambda rows: [representations.key(row) for row in rows],
            )
        )

    def post(self, request: Request, merchant: str) -> Response:  # noqa: ARG002
        return self.create(lambda: self._create(merchant))

    def _create(self, merchant: str) -> Response:
        owner = merchant_selectors.get(merchant)
        values, faults = shapes.read(self.read(may_be_empty=True), NEW_KEY)
        expires_at = values.get("expires_at")
        if expires_at is not None and expires_at <= self.now:
            faults.append(FieldError("/expires_at", "in_the_past", "This must be in the future."))
        if faults:
            raise Invalid(*faults)
        made = keys.create(
            name=values.get("name", "API key"), merchant=owner, expires_at=expires_at, now=self.now, actor=self.actor
        )
        return Response({**representations.key(made.row), "key": made.text}, status=201, headers=NO_STORE)


class KeyView(ProviderView):
    """/merchants/{id or reference}/api-keys/{key}"""

    def delete(self, request: Request, merchant: str, key: str) -> Response:  # noqa: ARG002
        owner = merchant_selectors.get(merchant)
        keys.revoke(key_id=_key_id(key), merchant=owner, now=self.now, actor=self.actor)
        return Response(status=204)


class CatalogueView(ProviderView):
    """/event-types: the whole catalogue, archived types included."""

    def get(self, request: Request) -> Response:
        return Response(
            pagination.page(
                event_type_selectors.every(),
                query=request.query_params,
                scope="event-types:every",
                show=lambda rows: [representations.event_type(row) for row in rows],
                by="name",
            )
        )

    def post(self, request: Request) -> Response:  # noqa: ARG002
        return self.create(self._create)

    def _create(self) -> Response:
        row = event_types.create(data=self.read(), now=self.now, actor=self.actor)
        headers = {"Location": f"{self.http_request.path}/{row.name}"}
        return Response(representations.event_type(row), status=201, headers=headers)


class CatalogueEntryView(ProviderView):
    """/event-types/{name}"""

    def get(self, request: Request, name: str) -> Response:  # noqa: ARG002
        return Response(representations.event_type(event_type_selectors.get(name)))

    def patch(self, request: Request, name: str) -> Response:  # noqa: ARG002
        row = event_types.update(name=name, data=self.read(), now=self.now, actor=self.actor)
        return Response(representations.event_type(row))

    def delete(self, request: Request, name: str) -> Response:  # noqa: ARG002
        event_types.delete(name=name, now=self.now, actor=self.actor)
        return Response(status=204)


def _expect_nothing(data: dict[str, object]) -> None:
    _, faults = shapes.read(data, {})
    if faults:
        raise Invalid(*faults)


def _key_id(text: str) -> UUID:
    try:
        return parse(Prefix.API_KEY, text)
    except InvalidId:
        raise NotFound("There is no such key.") from None
