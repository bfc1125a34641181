"""Paysera: RSA signatures verified by openssl with either form of the public key, and the rules of its Checkout."""

import base64
import hashlib
import hmac
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qsl

from tests.verifiers.delivered import Delivered, require, require_same

OPENSSL_S = 10
TYPES = {"MK", "HO", "FX", "MM"}
ALWAYS = ("type", "account", "statement_id", "transfer_id", "created_at")


def verify_notification_by_key(request: Delivered) -> None:
    _verify_notification(request, request.public_pem)


def verify_notification_by_certificate(request: Delivered) -> None:
    _verify_notification(request, _key_of(request.certificate_pem))


def verify_classic_by_key(request: Delivered) -> None:
    _verify_classic(request, request.public_pem)


def verify_classic_by_certificate(request: Delivered) -> None:
    _verify_classic(request, _key_of(request.certificate_pem))


def verify_checkout(request: Delivered) -> None:
    expected = hmac.new(request.secret.encode(), request.body, hashlib.sha256).hexdigest()
    require_same(expected, request.header("X-Paysera-Signature"))
    require(request.header("X-Paysera-Signature-Alg") == "HMAC-SHA256", "the algorithm is another one")
    require(request.header("X-Paysera-Created-At").isdigit(), "the time is no number")
    for name in ("X-Paysera-Request-Id", "X-Paysera-Callback-Id"):
        require(request.header(name) != "", f"{name} is empty")


def parameters(request: Delivered) -> list[tuple[str, str]]:
    """What `data` holds, read as the documentation says: `-` and `_` back to `+` and `/`, base64, then a query."""
    return parse_qsl(_decoded(_fields(request)["data"]).decode(), keep_blank_values=True, strict_parsing=True)


def _verify_notification(request: Delivered, key: str) -> None:
    fields = _fields(request, {"data", "sign"})
    _require_signed(fields["data"], fields["sign"], digest="sha1", key=key)
    found = dict(parameters(request))
    require(all(found.get(name) for name in ALWAYS), "a parameter is missing or empty")
    require(found["type"] in TYPES, "the type is unknown")
    require("" not in found.values(), "an empty parameter was sent")


def _verify_classic(request: Delivered, key: str) -> None:
    """`ss1`, which the project's password makes, and the two that the public key verifies."""
    fields = _fields(request, {"data", "ss1", "ss2", "ss3"})
    require_same(hashlib.md5((fields["data"] + request.secret).encode()).hexdigest(), fields["ss1"])
    _require_signed(fields["data"], fields["ss2"], digest="sha1", key=key)
    _require_signed(fields["data"], fields["ss3"], digest="sha256", key=key)


def _fields(request: Delivered, names: set[str] | None = None) -> Mapping[str, str]:
    require(request.header("Content-Type") == "application/x-www-form-urlencoded", "the body is not called a form")
    fields = parse_qsl(request.text, keep_blank_values=True, strict_parsing=True)
    require(names is None or (len(fields) == len(names) and {name for name, _ in fields} == names), "other fields")
    return dict(fields)


def _decoded(text: str) -> bytes:
    return base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)


def _key_of(certificate: str) -> str:
    command = ["openssl", "x509", "-pubkey", "-noout"]
    done = subprocess.run(command, input=certificate.encode(), capture_output=True, check=True, timeout=OPENSSL_S)
    return done.stdout.decode()


def _require_signed(data: str, signature: str, *, digest: str, key: str) -> None:
    """Of the text of `data`, as it stands in the form once that is decoded."""
    with tempfile.TemporaryDirectory() as folder:
        key_file, signature_file = Path(folder, "key.pem"), Path(folder, "signature")
        key_file.write_text(key)
        signature_file.write_bytes(_decoded(signature))
        command = ["openssl", "dgst", f"-{digest}", "-verify", str(key_file), "-signature", str(signature_file)]
        done = subprocess.run(command, input=data.encode(), capture_output=True, check=False, timeout=OPENSSL_S)
    require(done.returncode == 0, f"openssl refuses the {digest} signature")
