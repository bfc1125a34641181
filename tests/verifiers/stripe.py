"""Stripe's own library."""

import stripe

from tests.verifiers.delivered import Delivered, Refused, require


def verify(request: Delivered) -> None:
    signature = request.headers.get("Stripe-Signature")
    try:
        event = stripe.Webhook.construct_event(request.body, signature, request.secret)
    except stripe.SignatureVerificationError as error:
        raise Refused from error
    require(event.object == "event" and bool(event.id) and bool(event.type), "it is no event")
    require(event.data.object is not None, "the event has no object")
