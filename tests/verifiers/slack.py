"""Slack's own library."""

from slack_sdk.signature import SignatureVerifier

from tests.verifiers.delivered import Delivered, require


def verify(request: Delivered) -> None:
    is_valid = SignatureVerifier(request.secret).is_valid_request(request.body, dict(request.headers))
    require(is_valid, "the library refuses it")
