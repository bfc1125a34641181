"""Standard Webhooks 1.0: both libraries for its shared secrets, and what the specification says of the body."""

import json
from datetime import datetime

import standardwebhooks
import svix.webhooks

from tests.verifiers.delivered import Delivered, Refused, require

REFUSALS = (standardwebhooks.WebhookVerificationError, svix.webhooks.WebhookVerificationError)


def verify_by_standardwebhooks(request: Delivered) -> None:
    try:
        standardwebhooks.Webhook(request.secret).verify(request.body, dict(request.headers))
    except REFUSALS as error:
        raise Refused from error


def verify_by_svix(request: Delivered) -> None:
    try:
        svix.webhooks.Webhook(request.secret).verify(request.body, dict(request.headers))
    except REFUSALS as error:
        raise Refused from error


def verify(request: Delivered) -> None:
    """The signature, then the body."""
    verify_by_standardwebhooks(request)
    check_body(request)


def check_body(request: Delivered) -> None:
    body = json.loads(request.body)
    require(list(body) == ["type", "timestamp", "data"], "the body has other members")
    require(isinstance(body["type"], str) and body["type"] != "", "the type is no text")
    require(datetime.fromisoformat(body["timestamp"]).utcoffset() is not None, "the timestamp has no offset")
