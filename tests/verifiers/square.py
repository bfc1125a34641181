"""Square's own library: the URL that the receiver is registered with is part of what is signed."""

from square.utils.webhooks_helper import verify_signature

from tests.verifiers.delivered import Delivered, require


def verify(request: Delivered) -> None:
    is_valid = verify_signature(
        request_body=request.text,
        signature_header=request.header("x-square-hmacsha256-signature"),
        signature_key=request.secret,
        notification_url=request.url,
    )
    require(is_valid, "the library refuses it")
