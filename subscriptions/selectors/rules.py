"""Reads rules with their recipients, always those of one merchant."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from django.db.models import QuerySet, Sum

from subscriptions.errors import NotFound
from subscriptions.models import Endpoint, Merchant, Rule


@dataclass(frozen=True, slots=True)
class RuleDetail:
    """A rule with its living recipients, oldest first.

    `version` is the rule's own and those of all recipients that it ever had, added up: whatever changes the rule or one
    of them, by whichever route, makes it greater, and nobody has to write it.
    """

    rule: Rule
    recipients: list[Endpoint]
    version: int


def of(merchant: Merchant) -> QuerySet[Rule]:
    return Rule.objects.filter(owner=merchant)


def get(merchant: Merchant, rule_id: UUID) -> RuleDetail:
    """Raises NotFound, also for another merchant's."""
    if rule := of(merchant).filter(id=rule_id).first():
        return details([rule])[0]
    raise NotFound("There is no such rule.")


def details(rules: Collection[Rule]) -> list[RuleDetail]:
    """Two statements, however many rules there are."""
    every = Endpoint.objects.filter(rule__in=rules)
    sums = dict(every.order_by().values_list("rule_id").annotate(Sum("version")))
    living: defaultdict[UUID | None, list[Endpoint]] = defaultdict(list)
    for endpoint in every.filter(deleted_at=None).order_by("id"):
        living[endpoint.rule_id].append(endpoint)
    return [RuleDetail(rule, living[rule.id], rule.version + sums.get(rule.id, 0)) for rule in rules]
