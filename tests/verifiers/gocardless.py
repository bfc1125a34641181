"""GoCardless's own library."""

import gocardless_pro.webhooks  # type: ignore[import-untyped]
from gocardless_pro.errors import InvalidSignatureError  # type: ignore[import-untyped]

from tests.verifiers.delivered import Delivered, Refused


def verify(request: Delivered) -> None:
    """The signature is checked first. A payload that is no list of events, which is the provider's to shape, ends the
    reading after that with a KeyError."""
    try:
        gocardless_pro.webhooks.parse(request.body, request.secret, request.header("Webhook-Signature"))
    except InvalidSignatureError as error:
        raise Refused from error
    except KeyError as missing:
        if missing.args != ("events",):
            raise
