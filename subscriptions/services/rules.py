"""Everything that happens to rules: one choice of events, made, changed and deleted with all its recipients at once."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from dispatcher.ids import InvalidId, Prefix, parse
from subscriptions.errors import Conflict, FieldError, Invalid
from subscriptions.models import Endpoint, Merchant, Rule
from subscriptions.selectors import rules as selectors
from subscriptions.selectors.rules import RuleDetail
from subscriptions.services import audit, endpoint_rules, endpoints, shapes
from subscriptions.services.endpoints import OF_THE_RULE
from subscriptions.services.locks import check_version, lock_merchant, lock_recipients, share_provider_keys

MOST_RULES = 50
# More than a merchant has endpoints; a rule whose recipients were deleted one by one still counts.
MOST_RECIPIENTS = 10
# The names of all of them are looked up while the caller waits, at most 2 s each.

CHANGES: shapes.Shape = {
    "name": shapes.line(least=0, most=255),
    **{name: endpoint_rules.CHANGES[name] for name in sorted(OF_THE_RULE)},
    "recipients": shapes.list_of(shapes.json_object, least=1, most=MOST_RECIPIENTS),
}
_NEW_RECIPIENT: shapes.Shape = {name: check for name, check in endpoint_rules.NEW.items() if name not in OF_THE_RULE}
_RECIPIENT: shapes.Shape = {name: check for name, check in endpoint_rules.CHANGES.items() if name not in OF_THE_RULE}


@dataclass(frozen=True, slots=True)
class Written:
    """A rule as it is now. `generated` holds the secrets that were made for new recipients, and are shown this once;
    `auth_reset` the recipients whose credentials were dropped because their URL moved to another host."""

    detail: RuleDetail
    generated: dict[UUID, str] = field(default_factory=dict, repr=False)
    auth_reset: frozenset[UUID] = frozenset()


@dataclass(frozen=True, slots=True)
class _Plan:
    """What was asked for, checked. `staying` is None when nothing was said about recipients: all stay as they are."""

    own: dict[str, Any]
    staying: dict[UUID, dict[str, Any]] | None
    new: list[dict[str, Any]]


def create(*, merchant: Merchant, data: Mapping[str, Any], now: datetime, actor: str) -> Written:
    """A new rule with its recipients, all or none of them. Raises Invalid or Conflict.

    The fields are checked, and the hosts' names resolved, before the transaction opens.
    """
    plan = _plan(data, required=("recipients",))
    with transaction.atomic():
        lock_merchant(merchant.id)
        if selectors.of(merchant).count() >= MOST_RULES:
            raise Conflict(f"A merchant has at most {MOST_RULES} rules.", code="too_many_rules")
        rule = Rule.objects.create(owner=merchant, created_at=now, updated_at=now, **plan.own)
        _note(rule, "rule.created", fields=data, now=now, actor=actor)
        generated = _make_new(rule, plan, now=now, actor=actor)
        return Written(selectors.get(merchant, rule.id), generated)


def update(
    *,
    merchant: Merchant,
    rule_id: UUID,
    data: Mapping[str, Any],
    now: datetime,
    actor: str,
    expected: Collection[int] | None = None,
) -> Written:
    """Change what `data` names. Raises NotFound, Stale, Invalid or Conflict; then nothing has changed.

    1. Check against the rule and its recipients as read, before the transaction opens.
    2. Lock the merchant, so that rules change one after the other, and the recipients.
    3. If anything changed in between, check again.
    """
    while True:
        seen = selectors.get(merchant, rule_id)
        check_version(seen, expected)
        plan = _plan(data, seen=seen)
        with transaction.atomic():
            found = _lock(merchant, rule_id)
            check_version(found, expected)
            if found.version != seen.version:
                continue
            return _carry_out(found, plan, fields=data, now=now, actor=actor)


@transaction.atomic
def delete(
    *, merchant: Merchant, rule_id: UUID, now: datetime, actor: str, expected: Collection[int] | None = None
) -> None:
    """The rule goes with all its recipients. Raises NotFound or Stale."""
    found = _lock(merchant, rule_id)
    check_version(found, expected)
    for endpoint in found.recipients:
        endpoints.bury(endpoint, now=now, actor=actor)
    _note(found.rule, "rule.deleted", fields=(), now=now, actor=actor)
    found.rule.delete()


def _lock(merchant: Merchant, rule_id: UUID) -> RuleDetail:
    lock_merchant(merchant.id)
    # A recipient may be given a profile that the provider signs.
    share_provider_keys()
    locked = lock_recipients(rule_id, merchant=merchant)
    return replace(selectors.get(merchant, rule_id), recipients=locked)


def _carry_out(found: RuleDetail, plan: _Plan, *, fields: Collection[str], now: datetime, actor: str) -> Written:
    """What is left out goes first: it makes room for what is new."""
    rule, staying = found.rule, plan.staying
    for name, value in plan.own.items():
        setattr(rule, name, value)
    rule.version += 1
    rule.updated_at = now
    rule.save()
    _note(rule, "rule.updated", fields=fields, now=now, actor=actor)
    auth_reset: set[UUID] = set()
    for endpoint in found.recipients:
        if staying is not None and endpoint.id not in staying:
            endpoints.bury(endpoint, now=now, actor=actor)
        elif values := {**(staying or {}).get(endpoint.id, {}), **_conditions(plan.own)}:
            changed = endpoints.change(endpoint, values, now=now, actor=actor)
            auth_reset |= {endpoint.id} if changed.is_auth_reset else set()
    generated = _make_new(rule, plan, now=now, actor=actor)
    return Written(selectors.get(rule.owner, rule.id), generated, frozenset(auth_reset))


def _make_new(rule: Rule, plan: _Plan, *, now: datetime, actor: str) -> dict[UUID, str]:
    """The new recipients' generated secrets."""
    conditions = {"event_types": rule.event_types, "accounts": rule.accounts}
    made = [
        endpoints.make(merchant=rule.owner, values={**values, **conditions}, now=now, actor=actor, rule=rule)
        for values in plan.new
    ]
    return {one.endpoint.id: one.generated for one in made if one.generated}


def _conditions(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: values[name] for name in OF_THE_RULE if name in values}


def _plan(data: Mapping[str, Any], *, seen: RuleDetail | None = None, required: Collection[str] = ()) -> _Plan:
    """Raises Invalid with every fault, those of the recipients included."""
    own, faults = shapes.read(data, CHANGES, required=required)
    kept = seen.rule.event_types if seen else None
    faults += endpoint_rules.unknown_types(own.get("event_types"), kept=kept)
    present = {row.public_id: row for row in seen.recipients} if seen else None
    given: list[dict[str, Any]] | None = own.pop("recipients", None)
    staying: dict[UUID, dict[str, Any]] = {}
    new: list[dict[str, Any]] = []
    for position, one in enumerate(given or ()):
        try:
            if present is not None and "id" in one:
                endpoint = _named(one["id"], present, taken=staying)
                staying[endpoint.id] = _check(one, endpoint)
            else:
                new.append(endpoint_rules.check(one, _NEW_RECIPIENT, required=("url",)))
        except Invalid as found:
            faults += [replace(fault, pointer=f"/recipients/{position}{fault.pointer}") for fault in found.errors]
    if faults:
        raise Invalid(*faults)
    return _Plan(own, None if given is None else staying, new)


def _named(value: Any, present: Mapping[str, Endpoint], *, taken: Collection[UUID]) -> Endpoint:
    """Raises Invalid for what is none of the rule's recipients, or was named before."""
    try:
        endpoint_id = parse(Prefix.ENDPOINT, value if isinstance(value, str) else "")
    except InvalidId:
        raise Invalid(FieldError("/id", "invalid_id", "This must be the id of an endpoint.")) from None
    if endpoint_id in taken:
        raise Invalid(FieldError("/id", "duplicate_recipient", "This recipient was named before."))
    if endpoint := present.get(value):
        return endpoint
    raise Invalid(FieldError("/id", "unknown_recipient", "This is no recipient of the rule."))


def _check(one: Mapping[str, Any], endpoint: Endpoint) -> dict[str, Any]:
    changes = {name: value for name, value in one.items() if name != "id"}
    return endpoint_rules.check(changes, _RECIPIENT, present=endpoint)


def _note(rule: Rule, action: str, *, fields: Collection[str], now: datetime, actor: str) -> None:
    """The names of what was given, never the values."""
    known = sorted(name for name in fields if name in CHANGES)
    audit.note(
        actor=actor,
        action=action,
        target=rule.public_id,
        merchant_id=rule.owner_id,
        detail={"fields": known} if known else {},
        now=now,
    )
