"""Paisr, both versions: thin bodies, known by their headers; version 2 signs the time as well."""

import hashlib
import hmac
import json

from tests.verifiers.delivered import Delivered, require, require_recent, require_same


def verify(request: Delivered) -> None:
    require_same(_mac(request, request.body), request.header("X-Paisr-Signature"))
    _check(request)


def verify_v2(request: Delivered) -> None:
    timestamp = request.header("X-PCB-Timestamp")
    require_recent(timestamp)
    require_same(_mac(request, timestamp.encode() + b"." + request.body), request.header("X-PCB-Signature"))
    _check(request)


def _mac(request: Delivered, message: bytes) -> str:
    return hmac.new(request.secret.encode(), message, hashlib.sha256).hexdigest()


def _check(request: Delivered) -> None:
    require(request.header("User-Agent") == "PCB Events", "the sender calls itself something else")
    require(request.header("X-Powered-By") == "PAISR Technologies NV", "the sender is powered by something else")
    body = json.loads(request.body)
    require(list(body) == ["id", "event"], "the body has other members")
    require(all(isinstance(value, str) for value in body.values()), "the body holds more than texts")
