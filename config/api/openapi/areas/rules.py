"""Rules: one choice of events for several recipients."""

from config.api.openapi.areas.endpoint_fields import (
    ACCOUNTS,
    NEW_RULES,
    PAGING,
    RULES,
    SECRET_WORDS,
    URL,
    WANTED_TYPES,
    WORDS,
)
from config.api.openapi.operations import Answer, Area, Body, Operation
from config.api.openapi.schemas import Schema, an_id, list_of, moment, page_of, record, ref, request, text, whole
from dispatcher.ids import Prefix
from subscriptions.services import endpoint_rules, rules, shapes
from subscriptions.services.endpoints import OF_THE_RULE
from subscriptions.services.rules import MOST_RECIPIENTS

_OWN, _NEW = (
    {name: rule for name, rule in rules_of.items() if name not in OF_THE_RULE} for rules_of in (RULES, NEW_RULES)
)
_SAID = {name: said for name, said in WORDS.items() if name not in OF_THE_RULE}


def _of_recipient(whole_shape: shapes.Shape) -> shapes.Shape:
    return {name: check for name, check in whole_shape.items() if name not in OF_THE_RULE}


NEW_RECIPIENT = request(_of_recipient(endpoint_rules.NEW), required=("url",), instead=_NEW, say=_SAID | SECRET_WORDS)
_CHANGES = request(_of_recipient(endpoint_rules.CHANGES), instead=_OWN, say=_SAID)
KEPT_RECIPIENT: Schema = {
    **_CHANGES,
    "properties": {"id": an_id(Prefix.ENDPOINT, "One of the rule's recipients."), **_CHANGES["properties"]},
    "required": ["id"],
}


def _body(recipient: Schema, *, required: tuple[str, ...] = ()) -> Schema:
    recipients = {"type": "array", "items": recipient, "minItems": 1, "maxItems": MOST_RECIPIENTS}
    return request(
        rules.CHANGES,
        required=required,
        instead={"event_types": WANTED_TYPES, "accounts": ACCOUNTS, "recipients": recipients},
        say={name: WORDS[name] for name in OF_THE_RULE},
    )


SHOWN = record(
    {
        "id": an_id(Prefix.RULE),
        "name": text("Paid invoices"),
        "event_types": WANTED_TYPES,
        "accounts": ACCOUNTS,
        "recipients": list_of(ref("Endpoint")),
        "version": whole(1, least=1),
        "created_at": moment(),
        "updated_at": moment(),
    }
)
BASE = "/api/v2/webhooks/rules"
EXAMPLE = {"name": "Paid invoices", "event_types": ["invoice.paid"], "recipients": [{"url": URL}]}
OF_WRITING = ("too_many_endpoints", "unknown_profile")
OF_CODES = ("too_many_requests", "too_many_codes")

AREA = Area(
    name="Rules",
    description="One choice of events for several recipients at once, each an endpoint of its own.",
    schemas={
        "NewRule": _body(ref("NewRecipient"), required=("recipients",)),
        "RuleChanges": _body({"oneOf": [ref("KeptRecipient"), ref("NewRecipient")]}),
        "NewRecipient": NEW_RECIPIENT,
        "KeptRecipient": KEPT_RECIPIENT,
        "Rule": SHOWN,
        "RulePage": page_of(ref("Rule")),
    },
    operations={
        f"GET {BASE}": Operation(
            id="listRules",
            summary="All rules, newest first",
            query=PAGING,
            answers={200: Answer(description="A page.", schema=ref("RulePage"))},
        ),
        f"POST {BASE}": Operation(
            id="createRule",
            summary="A new rule with its recipients, all or none of them",
            body=Body(schema=ref("NewRule"), examples={"one recipient": EXAMPLE}),
            is_idempotent=True,
            answers={
                201: Answer(
                    description="Made. Generated secrets are shown this once.",
                    schema=ref("Rule"),
                    headers=("ETag", "Location", "Cache-Control"),
                    gives={"rule": "$response.body#/id", "endpoint": "$response.body#/recipients/0/id"},
                )
            },
            refusals={409: ("too_many_rules", *OF_WRITING), 429: OF_CODES},
        ),
        f"GET {BASE}/{{rule}}": Operation(
            id="getRule",
            summary="One rule",
            answers={200: Answer(description="It.", schema=ref("Rule"), headers=("ETag",))},
        ),
        f"PATCH {BASE}/{{rule}}": Operation(
            id="updateRule",
            summary="Change what is named",
            description="`recipients` is the whole list: those with an `id` stay and change, others are new, and who is"
            " not named goes.",
            body=Body(schema=ref("RuleChanges"), examples={"events": {"event_types": ["invoice.*"]}}),
            has_if_match=True,
            answers={200: Answer(description="As it is now.", schema=ref("Rule"), headers=("ETag", "Cache-Control"))},
            refusals={409: (*OF_WRITING, "unverified"), 429: OF_CODES},
        ),
        f"DELETE {BASE}/{{rule}}": Operation(
            id="deleteRule",
            summary="Delete it with all its recipients",
            has_if_match=True,
            answers={204: Answer(description="It is gone.")},
        ),
    },
)
