"""The profiles that come with the platform: each is data, read from its vendor's public documentation."""

from collections.abc import Mapping
from types import MappingProxyType

from dispatcher.ack import BodyStartsWith
from dispatcher.profiles.model import Body, Profile, Retry, Signature

STANDARD_HEADERS = (("webhook-id", "{id}"), ("webhook-timestamp", "{timestamp}"))
STANDARD_MESSAGE = "{id}.{timestamp}.{body}"
STANDARD_SIGNATURE = Signature(
    "webhook-signature", "whsec", encoding="base64", message=STANDARD_MESSAGE, item="v1,{signature}", join=" "
)
STANDARD_BODY = Body("envelope", '{"type": "{type}", "timestamp": "{occurred_at}", "data": "{payload}"}')

DEFAULT = Profile(
    "default",
    source="Card and account platform, merchant API v2; Standard Webhooks 1.0 beside it",
    headers=(
        ("X-Webhook-Event", "{type}"),
        ("X-Webhook-Id", "{id}"),
        ("X-Webhook-Attempt", "{attempt}"),
        *STANDARD_HEADERS,
    ),
    signatures=(
        Signature("X-Webhook-Signature", "utf8"),
        Signature(
            "webhook-signature",
            "whsec_or_utf8",
            encoding="base64",
            message=STANDARD_MESSAGE,
            item="v1,{signature}",
            join=" ",
        ),
    ),
)

STANDARD = Profile(
    "standard",
    source="Standard Webhooks 1.0, specification",
    body=STANDARD_BODY,
    headers=STANDARD_HEADERS,
    signatures=(STANDARD_SIGNATURE,),
)

STANDARD_ED25519 = Profile(
    "standard-ed25519",
    source="Standard Webhooks 1.0, specification, asymmetric signatures",
    body=STANDARD_BODY,
    headers=STANDARD_HEADERS,
    signatures=(
        Signature(
            "webhook-signature",
            "whsk",
            algorithm="ed25519",
            encoding="base64",
            message=STANDARD_MESSAGE,
            item="v1a,{signature}",
            join=" ",
        ),
    ),
    key_form="whsk",
)

CLOUDEVENTS = Profile(
    "cloudevents",
    source="CloudEvents 1.0.2, JSON event format and HTTP binding (structured); signed as Standard Webhooks",
    body=Body(
        "envelope",
        '{"specversion": "1.0", "id": "{id}", "source": "/merchants/{merchant}", "type": "{type}",'
        ' "time": "{occurred_at}", "datacontenttype": "application/json", "data": "{payload}"}',
        content_type="application/cloudevents+json; charset=utf-8",
    ),
    headers=STANDARD_HEADERS,
    signatures=(STANDARD_SIGNATURE,),
)

STRIPE = Profile(
    "stripe",
    source="Stripe documentation: verify webhook signatures manually; the Event object",
    body=Body(
        "envelope",
        '{"id": "{id}", "object": "event", "created": "{created}", "data": {"object": "{payload}"},'
        ' "livemode": "{is_live}", "type": "{type}"}',
    ),
    signatures=(
        Signature(
            "Stripe-Signature",
            "utf8",
            message="{timestamp}.{body}",
            item="v1={signature}",
            join=",",
            value="t={timestamp},{items}",
        ),
    ),
)

GITHUB = Profile(
    "github",
    source="GitHub documentation: validating webhook deliveries; delivery headers",
    headers=(("X-GitHub-Event", "{type}"), ("X-GitHub-Delivery", "{id}")),
    signatures=(Signature("X-Hub-Signature-256", "utf8", item="sha256={signature}"),),
)

SHOPIFY = Profile(
    "shopify",
    source="Shopify documentation: webhooks, delivery structure and verification. Its library for Node also wants"
    " X-Shopify-Shop-Domain and X-Shopify-API-Version, which only the endpoint's own headers can say",
    headers=(
        ("X-Shopify-Topic", "{type}"),
        ("X-Shopify-Webhook-Id", "{delivery_id}"),
        ("X-Shopify-Event-Id", "{id}"),
        ("X-Shopify-Triggered-At", "{occurred_at}"),
    ),
    signatures=(Signature("X-Shopify-Hmac-Sha256", "utf8", encoding="base64"),),
)

SLACK = Profile(
    "slack",
    source="Slack documentation: verifying requests from Slack",
    headers=(("X-Slack-Request-Timestamp", "{timestamp}"),),
    signatures=(Signature("X-Slack-Signature", "utf8", message="v0:{timestamp}:{body}", item="v0={signature}"),),
)

SQUARE = Profile(
    "square",
    source="Square documentation: verify and validate an event notification",
    signatures=(Signature("x-square-hmacsha256-signature", "utf8", encoding="base64", message="{url}{body}"),),
)

ADYEN_PLATFORM = Profile(
    "adyen-platform",
    source="Adyen for Platforms documentation: verify HMAC signatures",
    signatures=(Signature("HmacSignature", "hex", encoding="base64"),),
    key_form="hex",
)

GOCARDLESS = Profile(
    "gocardless",
    source="GoCardless developer documentation: webhooks, signature. Its libraries read the payload's member `events`",
    signatures=(Signature("Webhook-Signature", "utf8"),),
)

MOLLIE = Profile(
    "mollie",
    source="Mollie documentation: webhook signature verification",
    signatures=(Signature("X-Mollie-Signature", "utf8", item="sha256={signature}"),),
)

PADDLE = Profile(
    "paddle",
    source="Paddle Billing documentation: verify webhook signatures",
    signatures=(
        Signature(
            "Paddle-Signature",
            "utf8",
            message="{timestamp}:{body}",
            item="h1={signature}",
            join=";",
            value="ts={timestamp};{items}",
        ),
    ),
)

TWILIO = Profile(
    "twilio",
    source="Twilio documentation: webhooks security, validating form requests",
    body=Body("form"),
    signatures=(
        Signature("X-Twilio-Signature", "utf8", algorithm="hmac-sha1", encoding="base64", message="{url}{form_sorted}"),
    ),
)

PAISR_RETRY = Retry(retries=10)
# Up to 10 retries with exponential backoff are published, the waits are not: the platform's own.

PAISR_BODY = Body("thin", '{"id": "{payload.id|id}", "event": "{type}"}')
PAISR_HEADERS = (("User-Agent", "PCB Events"), ("X-Powered-By", "PAISR Technologies NV"))

PAISR = Profile(
    "paisr",
    source="Paisr developer documentation: webhooks; the signature's encoding is not published, hex is ours",
    body=PAISR_BODY,
    headers=PAISR_HEADERS,
    signatures=(Signature("X-Paisr-Signature", "utf8"),),
    retry=PAISR_RETRY,
)

PAISR_V2 = Profile(
    "paisr-v2",
    source="Paisr developer documentation: webhooks, version 2",
    body=PAISR_BODY,
    headers=(*PAISR_HEADERS, ("X-PCB-Timestamp", "{timestamp}")),
    signatures=(Signature("X-PCB-Signature", "utf8", message="{timestamp}.{body}"),),
    retry=PAISR_RETRY,
)

PAYSAFE = Profile(
    "paysafe",
    source="Paysafe developer documentation: webhooks, HMAC and event format",
    body=Body(
        "envelope",
        '{"payload": "{payload}", "eventType": "{type}", "eventName": "{type}", "attemptNumber": "{attempt_text}",'
        ' "resourceId": "{payload.id?}", "eventDate": "{occurred_at}",'
        ' "links": "{payload.links|payload._links?}", "mode": "{mode}"}',
    ),
    signatures=(Signature("Signature", "base64", encoding="base64"),),
    key_form="trimmed_base64",
)

GATEWAY = Profile(
    "gateway",
    source="Payment gateway Webhook API; authenticated by HTTP Basic, not signed. `dataType` comes from the payload",
    body=Body(
        "envelope",
        '{"type": "{type}", "dataType": "{payload.dataType?}", "timestamp": "{occurred_at}", "data": "{payload}",'
        ' "changed": "{payload.changed?}"}',
    ),
    key_form="none",
)

PAYSERA = Profile(
    "paysera",
    source="Paysera Notification API documentation",
    body=Body("b64url_form"),
    signatures=(
        Signature(
            "sign",
            "pem",
            algorithm="rsa-sha1",
            encoding="base64url",
            message="{data}",
            place="field",
            signer="provider",
        ),
    ),
    ack=BodyStartsWith("OK"),
    key_form="none",
)

PAYSERA_CHECKOUT_CLASSIC = Profile(
    "paysera-checkout-classic",
    source="Paysera Checkout documentation: classic integration, callback parameters",
    body=Body("b64url_form"),
    signatures=(
        Signature("ss1", "utf8", algorithm="md5-concat", message="{data}", place="field"),
        Signature(
            "ss2",
            "pem",
            algorithm="rsa-sha1",
            encoding="base64url",
            message="{data}",
            place="field",
            signer="provider",
        ),
        Signature(
            "ss3",
            "pem",
            algorithm="rsa-sha256",
            encoding="base64url",
            message="{data}",
            place="field",
            signer="provider",
        ),
    ),
    ack=BodyStartsWith("OK"),
)

PAYSERA_CHECKOUT = Profile(
    "paysera-checkout",
    source="Paysera Checkout documentation: callbacks",
    headers=(
        ("X-Paysera-Signature-Alg", "HMAC-SHA256"),
        ("X-Paysera-Created-At", "{created}"),
        ("X-Paysera-Request-Id", "{delivery_id}"),
        ("X-Paysera-Callback-Id", "{id}"),
    ),
    signatures=(Signature("X-Paysera-Signature", "utf8"),),
    retry=Retry(schedule=(3600, 5 * 3600, 25 * 3600), stop_statuses=frozenset({401})),
)

PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        profile.name: profile
        for profile in (
            *(DEFAULT, STANDARD, STANDARD_ED25519, CLOUDEVENTS),
            *(STRIPE, GITHUB, SHOPIFY, SLACK, SQUARE, ADYEN_PLATFORM, GOCARDLESS, MOLLIE, PADDLE, TWILIO),
            *(PAISR, PAISR_V2, PAYSAFE, GATEWAY, PAYSERA, PAYSERA_CHECKOUT_CLASSIC, PAYSERA_CHECKOUT),
        )
    }
)
