"""Makes the provider's key pairs, each with a self-signed certificate, and shows public halves as JSON Web Keys."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

RSA_BITS = 2048
# What every receiver's OpenSSL, however old, verifies at once. 3072 bits would cost three times the work a signature,
# and would not help where the format prescribes SHA-1.
PUBLIC_EXPONENT = 65537
COORDINATE_BYTES = 32
# Of a point on P-256, padded on the left (RFC 7518, section 6.2.1.2).

VALIDITY = timedelta(days=20 * 365)
# How long a key signs is decided by its rotation. Receivers that look at the certificate's dates must never be the
# first to find that nobody has rotated it.
BACKDATING = timedelta(days=1)
# Receivers whose clock is behind, or set to local time, take a fresh certificate for valid.

OTHER_USES = (
    *("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)
# What the certificate says that the key is not for.

PrivateKey = rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey
Jwk = dict[str, str | list[str]]

MAKERS: Mapping[str, Callable[[], PrivateKey]] = MappingProxyType(
    {
        "rsa": lambda: rsa.generate_private_key(public_exponent=PUBLIC_EXPONENT, key_size=RSA_BITS),
        "ed25519": ed25519.Ed25519PrivateKey.generate,
        "ec": lambda: ec.generate_private_key(ec.SECP256R1()),
    }
)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A key of the provider, its three parts in PEM form."""

    private_pem: str = field(repr=False)
    public_pem: str
    certificate_pem: str


def make_key_pair(family: str, *, common_name: str, now: datetime) -> KeyPair:
    """A fresh pair of the family `rsa`, `ed25519` or `ec` (P-256), with a certificate of its own for that name."""
    key = MAKERS[family]()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    certificate = _certificate(key, common_name, now).public_bytes(serialization.Encoding.PEM)
    return KeyPair(private.decode(), public.decode(), certificate.decode())


def public_jwk(public_pem: str, certificate_pem: str, *, key_id: str) -> Jwk:
    """The public half as a JSON Web Key (RFC 7517), with its certificate in `x5c`.

    `alg` is what a JOSE library would verify with: for RSA it has no name for SHA-1, though the same key signs both.
    """
    shown: Jwk = {"kid": key_id, "use": "sig"}
    match serialization.load_pem_public_key(public_pem.encode()):
        case rsa.RSAPublicKey() as key:
            numbers = key.public_numbers()
            shown |= {"kty": "RSA", "alg": "RS256", "n": _whole(numbers.n), "e": _whole(numbers.e)}
        case ed25519.Ed25519PublicKey() as key:
            shown |= {"kty": "OKP", "alg": "EdDSA", "crv": "Ed25519", "x": _base64url(key.public_bytes_raw())}
        case ec.EllipticCurvePublicKey() as key:
            point = key.public_numbers()
            x, y = (_whole(coordinate, size=COORDINATE_BYTES) for coordinate in (point.x, point.y))
            shown |= {"kty": "EC", "alg": "ES256", "crv": "P-256", "x": x, "y": y}
    der = x509.load_pem_x509_certificate(certificate_pem.encode()).public_bytes(serialization.Encoding.DER)
    # Plain base64 with padding, unlike every other member (RFC 7517, section 4.7).
    return shown | {"x5c": [base64.b64encode(der).decode()]}


def fingerprint(public_pem: str) -> str:
    """SHA-256 of the public key (its SubjectPublicKeyInfo), in hex: by this it is told from others for ever."""
    digest = hashes.Hash(hashes.SHA256())
    key = serialization.load_pem_public_key(public_pem.encode())
    digest.update(key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))
    return digest.finalize().hex()


def _certificate(key: PrivateKey, common_name: str, now: datetime) -> x509.Certificate:
    """For signatures and nothing else; no authority, although it has signed itself."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    public = key.public_key()
    usage = dict.fromkeys(OTHER_USES, False)
    builder = (
        x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATING)
        .not_valid_after(now + VALIDITY)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=True, **usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )
    # Ed25519 brings its own digest.
    return builder.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())


def _whole(number: int, *, size: int = 0) -> str:
    return _base64url(number.to_bytes(size or (number.bit_length() + 7) // 8, "big"))


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
