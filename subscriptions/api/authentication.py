"""Finds the API key that a request carries."""

from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated
from rest_framework.request import Request

from subscriptions.models import ApiKey
from subscriptions.services import keys

CHALLENGE = 'Bearer realm="api"'


class KeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer <key>` or `X-API-Token: <key>`; `request.auth` is the ApiKey with its merchant."""

    def authenticate(self, request: Request) -> tuple[None, ApiKey]:
        text = _key_text(request)
        if not text:
            raise NotAuthenticated("Send an API key as `Authorization: Bearer <key>` or `X-API-Token: <key>`.")
        key = keys.authenticate(text, now=timezone.now())
        if key is None:
            raise AuthenticationFailed("The API key is unknown, expired or revoked.")
        return None, key

    def authenticate_header(self, request: Request) -> str:  # noqa: ARG002 - the framework's signature
        return CHALLENGE


def _key_text(request: Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return str(token.strip())
    return str(request.headers.get("X-API-Token", "").strip())
