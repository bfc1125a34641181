"""The provider's merchants, their accounts and keys, and the texts of e-mails and SMS."""

from config.api.openapi.areas.endpoint_fields import PAGING
from config.api.openapi.operations import Answer, Area, Body, Operation
from config.api.openapi.schemas import (
    NULL,
    Schema,
    an_id,
    choice,
    flag,
    moment,
    or_null,
    page_of,
    record,
    ref,
    request,
    text,
    whole,
)
from dispatcher.ids import Prefix
from subscriptions.api.provider_views import NEW_KEY
from subscriptions.models import ApiKey, Merchant, MessageTemplate
from subscriptions.models.merchants import REFERENCE_LENGTH
from subscriptions.services import merchants, message_templates, shapes
from subscriptions.services.message_templates import BODY_LENGTH

_REFERENCE = shapes.schema_of(shapes.line(most=REFERENCE_LENGTH))
_RULES: dict[str, Schema] = {"reference": {"anyOf": [_REFERENCE, NULL], "examples": ["shop-17"]}}
_WORDS = {
    "reference": "Your own name for it, unique; does not start with `mer_`.",
    "parent": "The id or reference of the portfolio or reseller above it, whose endpoints hear its events too.",
    "mode": "Whether its events are real.",
    "retention_days": "For how long its events are kept, if that is shorter than the setting RETENTION_DAYS.",
    "hears_all_operations": "Whether its endpoints that name `signet.*` types hear of everybody's endpoints.",
}
MERCHANT = record(
    {
        "id": an_id(Prefix.MERCHANT),
        "name": text("Shop 17"),
        "reference": or_null(text("shop-17")),
        "kind": choice(Merchant.Kind.values),
        "mode": choice(Merchant.Mode.values),
        "parent": or_null(an_id(Prefix.MERCHANT), is_null=True),
        "retention_days": or_null(whole(30, least=1), is_null=True),
        "hears_all_operations": flag(),
        "created_at": moment(),
        "updated_at": moment(),
    }
)
ACCOUNT = record(
    {"reference": text("acc-1001"), "merchant": an_id(Prefix.MERCHANT), "created_at": moment()},
    description="An account, card or terminal: an event may name it instead of the merchant.",
)
KEY = record(
    {
        "id": an_id(Prefix.API_KEY),
        "name": text("Shop 17's key"),
        "scope": choice(ApiKey.Scope.values),
        "merchant": or_null(an_id(Prefix.MERCHANT)),
        "prefix": text("sk_4fA9"),
        "created_at": moment(),
        "expires_at": or_null(moment(), is_null=True),
        "revoked_at": or_null(moment(), is_null=True),
        "last_used_at": or_null(moment(), is_null=True),
    }
)
NEW_KEY_SHOWN = record({**KEY["properties"], "key": text("sk_4fA9…", "The key itself, shown this once.")})
TEMPLATE = record(
    {
        "id": an_id(Prefix.MESSAGE_TEMPLATE),
        "channel": choice(MessageTemplate.Channel.values),
        "event_type": or_null(text("invoice.paid")),
        "subject": text("Invoice {{ payload.id }} is paid"),
        "body": text("Invoice {{ payload.id }} is paid."),
        "created_at": moment(),
        "updated_at": moment(),
    }
)
PREVIEW = record(
    {
        "subject": text("Invoice inv_1001 is paid"),
        "text": text("Invoice inv_1001 is paid."),
        "segments": whole(1, "Of an SMS.", least=1),
        "encoding": text("GSM-7", "Of an SMS."),
    },
    optional=("segments", "encoding"),
)
SHOWN_TEMPLATE = record(
    {**TEMPLATE["properties"], "preview": or_null(ref("Preview"))},
    description="`preview` is null for a text that no longer takes its type's example.",
)
_TEXTS: dict[str, Schema] = {
    "body": {"type": "string", "minLength": 1, "maxLength": BODY_LENGTH, "pattern": shapes.PROSE}
}
BASE, TEXTS = "/api/v2/merchants", "/api/v2/message-templates"
ONE = f"{BASE}/{{merchant}}"

AREA = Area(
    name="Merchants",
    description="The provider's routes: merchants, accounts, API keys and the texts of e-mails and SMS.",
    schemas={
        "NewMerchant": request(merchants.CHANGES, required=("name",), instead=_RULES, say=_WORDS),
        "MerchantChanges": request(merchants.CHANGES, instead=_RULES, say=_WORDS),
        "Merchant": MERCHANT,
        "MerchantPage": page_of(ref("Merchant")),
        "Account": ACCOUNT,
        "ApiKey": KEY,
        "ApiKeyPage": page_of(ref("ApiKey")),
        "NewApiKey": NEW_KEY_SHOWN,
        "NewMessageTemplate": request(message_templates.NEW, required=("channel", "body"), instead=_TEXTS),
        "MessageTemplateChanges": request(message_templates.CHANGES, instead=_TEXTS),
        "MessageTemplate": TEMPLATE,
        "MessageTemplatePage": page_of(ref("MessageTemplate")),
        "MessageTemplateWithPreview": SHOWN_TEMPLATE,
        "Preview": PREVIEW,
    },
    operations={
        f"GET {BASE}": Operation(
            id="listMerchants",
            summary="All merchants, newest first",
            query=PAGING,
            answers={200: Answer(description="A page.", schema=ref("MerchantPage"))},
        ),
        f"POST {BASE}": Operation(
            id="createMerchant",
            summary="A new merchant",
            body=Body(
                schema=ref("NewMerchant"),
                examples={
                    "name only": {"name": "Shop 17"},
                    "in full": {"name": "Shop 18", "reference": "shop-18", "kind": "merchant", "mode": "test"},
                },
            ),
            is_idempotent=True,
            answers={
                201: Answer(
                    description="Made.",
                    schema=ref("Merchant"),
                    headers=("Location",),
                    gives={"merchant": "$response.body#/id"},
                )
            },
            refusals={409: ("reference_taken",)},
        ),
        f"GET {ONE}": Operation(
            id="getMerchant",
            summary="One merchant",
            answers={200: Answer(description="It.", schema=ref("Merchant"))},
        ),
        f"PATCH {ONE}": Operation(
            id="updateMerchant",
            summary="Change what is named",
            body=Body(schema=ref("MerchantChanges"), examples={"rename": {"name": "Shop 17, Vilnius"}}),
            answers={200: Answer(description="As it is now.", schema=ref("Merchant"))},
            refusals={409: ("reference_taken",)},
        ),
        f"DELETE {ONE}": Operation(
            id="deleteMerchant",
            summary="Delete it: its endpoints go, its keys are revoked, its accounts and reference are free again",
            answers={204: Answer(description="It is gone; its log stays.")},
            refusals={409: ("has_children",)},
        ),
        f"PUT {ONE}/accounts/{{reference}}": Operation(
            id="putAccount",
            summary="Register an account, card or terminal",
            body=Body(schema=request({}), examples={"nothing": {}}, is_optional=True),
            answers={
                200: Answer(description="It was registered before.", schema=ref("Account")),
                201: Answer(
                    description="It is registered now.",
                    schema=ref("Account"),
                    gives={"merchant": "$request.path.merchant", "reference": "$response.body#/reference"},
                ),
            },
            refusals={409: ("account_of_another_merchant",)},
        ),
        f"DELETE {ONE}/accounts/{{reference}}": Operation(
            id="deleteAccount",
            summary="Remove an account",
            answers={204: Answer(description="It is gone.")},
        ),
        f"GET {ONE}/api-keys": Operation(
            id="listApiKeys",
            summary="A merchant's keys, newest first; never the keys themselves",
            query=PAGING,
            answers={200: Answer(description="A page.", schema=ref("ApiKeyPage"))},
        ),
        f"POST {ONE}/api-keys": Operation(
            id="createApiKey",
            summary="A new key of a merchant",
            body=Body(
                schema=request(NEW_KEY, say={"expires_at": "In the future. Null is never."}),
                examples={"unnamed": {}, "for a while": {"name": "Migration", "expires_at": "2099-01-01T00:00:00Z"}},
                is_optional=True,
            ),
            is_idempotent=True,
            answers={
                201: Answer(
                    description="Made. `key` is shown this once.",
                    schema=ref("NewApiKey"),
                    headers=("Cache-Control",),
                    gives={"merchant": "$request.path.merchant", "key": "$response.body#/id"},
                )
            },
        ),
        f"DELETE {ONE}/api-keys/{{key}}": Operation(
            id="revokeApiKey",
            summary="Revoke a key, at once and for good",
            answers={204: Answer(description="It is revoked.")},
        ),
        f"GET {TEXTS}": Operation(
            id="listMessageTemplates",
            summary="All texts, newest first",
            query=PAGING,
            answers={200: Answer(description="A page.", schema=ref("MessageTemplatePage"))},
        ),
        f"POST {TEXTS}": Operation(
            id="createMessageTemplate",
            summary="A text of e-mails or SMS, for one event type or for all without one",
            body=Body(
                schema=ref("NewMessageTemplate"),
                examples={"sms": {"channel": "sms", "body": "It happened."}},
            ),
            is_idempotent=True,
            answers={
                201: Answer(
                    description="Made.",
                    schema=ref("MessageTemplateWithPreview"),
                    headers=("Location",),
                    gives={"template": "$response.body#/id"},
                )
            },
            refusals={409: ("template_exists",)},
        ),
        f"GET {TEXTS}/{{template}}": Operation(
            id="getMessageTemplate",
            summary="One text, with a sample in it",
            answers={200: Answer(description="It.", schema=ref("MessageTemplateWithPreview"))},
        ),
        f"PATCH {TEXTS}/{{template}}": Operation(
            id="updateMessageTemplate",
            summary="Change subject or body",
            body=Body(schema=ref("MessageTemplateChanges"), examples={"body": {"body": "It happened again."}}),
            answers={200: Answer(description="As it is now.", schema=ref("MessageTemplateWithPreview"))},
        ),
        f"DELETE {TEXTS}/{{template}}": Operation(
            id="deleteMessageTemplate",
            summary="Delete a text",
            answers={204: Answer(description="It is gone.")},
        ),
    },
)
