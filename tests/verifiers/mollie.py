"""Mollie's own library. It answers False for a request without a signature, which a receiver of ours never gets."""

from mollie.utils.webhooks.signature_validator import InvalidSignatureException, SignatureValidator

from tests.verifiers.delivered import Delivered, Refused, require


def verify(request: Delivered) -> None:
    signature = request.headers.get(SignatureValidator.SIGNATURE_HEADER)
    try:
        is_valid = SignatureValidator.validate(request.text, request.secret, signature)
    except InvalidSignatureException as error:
        raise Refused from error
    require(is_valid, "there is no signature")
