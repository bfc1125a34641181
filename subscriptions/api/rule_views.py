"""The merchant routes of rules: one choice of events for several recipients."""

from typing import Any
from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from dispatcher.ids import InvalidId, Prefix, parse
from subscriptions.api import pagination, representations
from subscriptions.api.base import MerchantView
from subscriptions.api.etags import etag
from subscriptions.api.merchant_views import NO_STORE
from subscriptions.errors import NotFound
from subscriptions.selectors import rules as selectors
from subscriptions.services import rules
from subscriptions.services.rules import Written


class RulesView(MerchantView):
    """/rules"""

    def get(self, request: Request) -> Response:
        return Response(
            pagination.page(
                selectors.of(self.merchant),
                query=request.query_params,
                scope=f"rules:{self.merchant.id}",
                show=lambda rows: representations.rules(selectors.details(rows)),
            )
        )

    def post(self, request: Request) -> Response:  # noqa: ARG002 - the framework's signature, here and below
        return self.create(self._create)

    def _create(self) -> Response:
        made = rules.create(merchant=self.merchant, data=self.read(), now=self.now, actor=self.actor)
        location = f"{self.http_request.path}/{made.detail.rule.public_id}"
        return _written(made, status=201, headers={"Location": location})


class RuleView(MerchantView):
    """/rules/{id}"""

    def get(self, request: Request, rule: str) -> Response:  # noqa: ARG002
        found = selectors.get(self.merchant, _rule_id(rule))
        return Response(representations.rules([found])[0], headers={"ETag": etag(found.version)})

    def patch(self, request: Request, rule: str) -> Response:  # noqa: ARG002
        changed = rules.update(
            merchant=self.merchant,
            rule_id=_rule_id(rule),
            data=self.read(),
            now=self.now,
            actor=self.actor,
            expected=self.versions(),
        )
        return _written(changed)

    def delete(self, request: Request, rule: str) -> Response:  # noqa: ARG002
        rules.delete(
            merchant=self.merchant,
            rule_id=_rule_id(rule),
            now=self.now,
            actor=self.actor,
            expected=self.versions(),
        )
        return Response(status=204)


def _rule_id(text: str) -> UUID:
    try:
        return parse(Prefix.RULE, text)
    except InvalidId:
        raise NotFound("There is no such rule.") from None


def _written(written: Written, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """The rule with what only this answer tells of its recipients: new secrets, and credentials that were dropped."""
    shown: dict[str, Any] = representations.rules([written.detail])[0]
    for row, recipient in zip(written.detail.recipients, shown["recipients"], strict=True):
        if row.id in written.generated:
            recipient["secret"] = written.generated[row.id]
        if row.id in written.auth_reset:
            recipient["auth_reset"] = True
    always = {"ETag": etag(written.detail.version), **NO_STORE}
    return Response(shown, status=status, headers=always | (headers or {}))
