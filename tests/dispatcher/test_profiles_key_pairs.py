"""The provider's key pairs: three parts of one key, a certificate that OpenSSL takes, and its JWK form."""

import base64
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from dispatcher.profiles.key_pairs import MAKERS, KeyPair, fingerprint, make_key_pair, public_jwk

NOW = datetime(2026, 1, 31, 12, 0, 0, 5, tzinfo=UTC)
NAME = "Signet webhook signatures pk_01kfxwm9jceesrtq0733vx0g8y"


@pytest.fixture(scope="module", params=sorted(MAKERS))
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def pair(family: str) -> KeyPair:
    return make_key_pair(family, common_name=NAME, now=NOW)


def number(text: Any) -> int:
    return int.from_bytes(decoded(text), "big")


def decoded(text: Any) -> bytes:
    assert isinstance(text, str)
    assert "=" not in text
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_the_three_parts_are_of_one_key_of_the_right_kind(pair: KeyPair, family: str) -> None:
    private: Any = serialization.load_pem_private_key(pair.private_pem.encode(), password=None)
    kinds: dict[str, Any] = {
        "rsa": rsa.RSAPrivateKey,
        "ed25519": ed25519.Ed25519PrivateKey,
        "ec": ec.EllipticCurvePrivateKey,
    }
    assert isinstance(private, kinds[family])
    public = private.public_key()
    assert public == serialization.load_pem_public_key(pair.public_pem.encode())
    assert public == x509.load_pem_x509_certificate(pair.certificate_pem.encode()).public_key()
    if family == "rsa":
        assert (public.key_size, public.public_numbers().e) == (2048, 65537)
    if family == "ec":
        assert public.curve.name == "secp256r1"


def test_the_certificate_says_what_it_is_for_and_how_long(pair: KeyPair, family: str) -> None:
    made = x509.load_pem_x509_certificate(pair.certificate_pem.encode())
    assert made.subject == made.issuer
    assert [part.value for part in made.subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == [NAME]
    assert made.not_valid_before_utc == NOW.replace(microsecond=0) - timedelta(days=1)
    assert made.not_valid_after_utc == NOW.replace(microsecond=0) + timedelta(days=7300)
    made.verify_directly_issued_by(made)
    assert made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    assert made.extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature is True
    digest = made.signature_hash_algorithm
    assert (digest and digest.name) == (None if family == "ed25519" else "sha256")


def test_openssl_finds_the_same_public_key_in_the_certificate(pair: KeyPair, tmp_path: Path) -> None:
    file = tmp_path / "key.crt"
    file.write_text(pair.certificate_pem)
    run = subprocess.run(
        ["openssl", "x509", "-in", str(file), "-noout", "-pubkey"], check=True, capture_output=True, text=True
    )
    assert run.stdout == pair.public_pem


def test_the_jwk_has_the_public_numbers_and_nothing_private(pair: KeyPair, family: str) -> None:
    shown = public_jwk(pair.public_pem, pair.certificate_pem, key_id="pk_1")
    public: Any = serialization.load_pem_public_key(pair.public_pem.encode())
    assert (shown["kid"], shown["use"]) == ("pk_1", "sig")
    common = {"kid", "use", "kty", "alg", "x5c"}
    match family:
        case "rsa":
            assert set(shown) == common | {"n", "e"}
            assert (shown["kty"], shown["alg"]) == ("RSA", "RS256")
            assert rsa.RSAPublicNumbers(number(shown["e"]), number(shown["n"])).public_key() == public
        case "ed25519":
            assert set(shown) == common | {"crv", "x"}
            assert (shown["kty"], shown["alg"], shown["crv"]) == ("OKP", "EdDSA", "Ed25519")
            assert decoded(shown["x"]) == public.public_bytes_raw()
        case "ec":
            assert set(shown) == common | {"crv", "x", "y"}
            assert (shown["kty"], shown["alg"], shown["crv"]) == ("EC", "ES256", "P-256")
            point = ec.EllipticCurvePublicNumbers(number(shown["x"]), number(shown["y"]), ec.SECP256R1())
            assert point.public_key() == public
    assert isinstance(shown["x5c"], list)
    [der] = shown["x5c"]
    assert x509.load_der_x509_certificate(base64.b64decode(der)).public_key() == public


def test_coordinates_are_padded_to_their_full_length() -> None:
    """One key in 128 has a coordinate that begins with a zero byte."""
    curve = ec.SECP256R1()
    short = next(
        key
        for scalar in range(1, 5000)
        if (key := ec.derive_private_key(scalar, curve)).public_key().public_numbers().x < 2**248
    )
    public = short.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    certificate = make_key_pair("ec", common_name=NAME, now=NOW).certificate_pem
    assert len(decoded(public_jwk(public.decode(), certificate, key_id="pk_1")["x"])) == 32


def test_the_fingerprint_is_what_openssl_hashes(pair: KeyPair, tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_text(pair.public_pem)
    der = subprocess.run(
        ["openssl", "pkey", "-pubin", "-in", str(file), "-outform", "DER"], check=True, capture_output=True
    ).stdout
    digest = subprocess.run(["openssl", "dgst", "-sha256", "-r"], check=True, capture_output=True, input=der).stdout
    assert fingerprint(pair.public_pem) == digest.decode().split()[0]


def test_the_private_half_does_not_show() -> None:
    made = make_key_pair("ec", common_name=NAME, now=NOW)
    assert "PRIVATE" not in repr(made)
