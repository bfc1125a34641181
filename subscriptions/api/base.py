"""The two kinds of API views: who calls, for which merchant, and when is settled before a handler runs.

Subclass `MerchantView` for routes below /api/v2/webhooks and `ProviderView` for the provider's. A handler finds

    self.merchant    Merchant           (MerchantView) the key's, or the one in `?merchant=<id or reference>`
    self.caller      ApiKey             whose key it is
    self.actor       str                `key:key_…`, for the audit log
    self.now         datetime           when the request came; handlers read no other clock
    self.read()      dict               the JSON object sent; `may_be_empty=True` takes no body for `{}`
    self.raw_body    bytes              the very bytes sent, at most `max_body_bytes`
    self.versions()  ints | None        the versions that `If-Match` names; None without the header
    self.create(f)   Response           f() once for each `Idempotency-Key`: for every POST that creates something

and raises `subscriptions.errors.*` or DRF's exceptions; both become problem answers. Refused before a handler: no or a
bad key 401, another method 405, a merchant key on provider routes or a foreign `?merchant=` (403, 404), a provider key
without `?merchant=` (422). A path or query that holds U+0000 finds nothing.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

import structlog
from django.http import HttpRequest
from django.utils import timezone
from rest_framework.exceptions import MethodNotAllowed, ParseError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from subscriptions.api import bodies, etags, idempotency
from subscriptions.api.authentication import KeyAuthentication
from subscriptions.errors import FieldError, Forbidden, Invalid, NotFound
from subscriptions.models import ApiKey, Merchant
from subscriptions.selectors import merchants


class JsonOnly(BaseContentNegotiation):
    """Every answer is JSON, whatever `Accept` says; bodies are read by `bodies`, not by DRF's parsers."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:  # noqa: ARG002
        return None

    def select_renderer(  # type: ignore[override] # DRF's own returns this pair
        self,
        request: Request,  # noqa: ARG002
        renderers: Sequence[BaseRenderer],
        format_suffix: str | None = None,  # noqa: ARG002
    ) -> tuple[BaseRenderer, str]:
        return renderers[0], renderers[0].media_type or "application/json"


class ApiView(APIView):
    """What both kinds share."""

    authentication_classes = [KeyAuthentication]
    content_negotiation_class = JsonOnly
    http_method_names = ["get", "head", "post", "put", "patch", "delete"]
    max_body_bytes = bodies.MAX_BODY_BYTES

    caller: ApiKey
    actor: str
    now: datetime

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        self.now = timezone.now()
        _refuse_nul(request)
        super().initial(request, *args, **kwargs)
        if request.method not in self.allowed_methods:
            # Before anything is looked up: what is missing there has nothing to do with the method.
            raise MethodNotAllowed(str(request.method))
        self.caller = request.auth  # type: ignore[assignment] # DRF's stubs know only its own tokens
        self.actor = f"key:{self.caller.public_id}"
        # Every log line of this request carries it.
        structlog.contextvars.bind_contextvars(key_id=self.caller.public_id)

    @property
    def http_request(self) -> HttpRequest:
        """Django's request, whose stream nothing has touched."""
        inner: HttpRequest = self.request._request  # noqa: SLF001 - DRF offers no other way to the stream
        return inner

    @cached_property
    def raw_body(self) -> bytes:
        return bodies.read(self.http_request, limit=self.max_body_bytes)

    def read(self, *, may_be_empty: bool = False) -> dict[str, Any]:
        return bodies.read_object(self.http_request, self.raw_body, may_be_empty=may_be_empty)

    def versions(self) -> Collection[int] | None:
        return etags.parse_if_match(self.request.headers.get("If-Match"))

    def create(self, make: Callable[[], Response]) -> Response:
        """The answer of `make`, or the first answer to the same `Idempotency-Key`."""
        return idempotency.answer(self.http_request, self.raw_body, scope=self.actor, now=self.now, make=make)


class ProviderView(ApiView):
    """Routes that only the provider may use."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if self.caller.scope != ApiKey.Scope.PROVIDER:
            raise Forbidden("This route needs a provider key.", code="provider_key_needed")


class MerchantView(ApiView):
    """Routes that act for one merchant. Everything a handler touches must be reached through `self.merchant`."""

    merchant: Merchant

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        self.merchant = self._merchant(request.query_params.get("merchant"))
        structlog.contextvars.bind_contextvars(merchant_id=self.merchant.public_id)

    def _merchant(self, named: str | None) -> Merchant:
        if self.caller.merchant is None:
            if not named:
                message = "A provider key must name the merchant: ?merchant=<id or reference>."
                raise Invalid(FieldError("/merchant", "required", message))
            return merchants.get(named)
        if named and named not in {self.caller.merchant.public_id, self.caller.merchant.reference}:
            raise NotFound("There is no such merchant.")
        return self.caller.merchant


def _refuse_nul(request: Request) -> None:
    """Postgres takes no U+0000 in text, so no stored name can match; asking would be an error there."""
    if "\x00" in request.path:
        raise NotFound("There is nothing here.")
    if any("\x00" in value for values in request.query_params.lists() for value in (values[0], *values[1])):
        raise ParseError("The query holds the character U+0000.", code="nul_character")
