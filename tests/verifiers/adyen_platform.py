"""Adyen's own library, for its webhooks that are signed in a header."""

from Adyen.util import is_valid_hmac_payload  # type: ignore[import-untyped]

from tests.verifiers.delivered import Delivered, require


def verify(request: Delivered) -> None:
    require(
        is_valid_hmac_payload(request.header("HmacSignature"), request.secret, request.body), "the library refuses it"
    )
