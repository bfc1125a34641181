"""Twilio's own library: the URL and the form's parameters are what is signed."""

from urllib.parse import parse_qsl

from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from tests.verifiers.delivered import Delivered, require


def verify(request: Delivered) -> None:
    require(request.header("Content-Type") == "application/x-www-form-urlencoded", "the body is not called a form")
    parameters = dict(parse_qsl(request.text, keep_blank_values=True, strict_parsing=True))
    is_valid = RequestValidator(request.secret).validate(request.url, parameters, request.header("X-Twilio-Signature"))
    require(is_valid, "the library refuses it")
