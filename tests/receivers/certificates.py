"""Certificates for TLS receivers: one authority that tests can trust, and leaves that are wrong in one way each."""

import datetime as dt
import ssl
from functools import cache
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NAME = "pay.merchant-one.com"


class Certificates:
    """All leaves are for NAME and 127.0.0.1, unless the wrong name is what is wrong with them."""

    def __init__(self) -> None:
        self._authority = trustme.CA()
        self._stranger = trustme.CA()

    def write_ca(self, folder: Path) -> str:
        """The authority as a PEM file, for a client's `ca_file`."""
        path = folder / "ca.pem"
        self._authority.cert_pem.write_to_path(str(path))
        return str(path)

    def valid(self) -> ssl.SSLContext:
        return _context(self._authority.issue_cert(NAME, "127.0.0.1"))

    def expired(self) -> ssl.SSLContext:
        past = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
        return _context(self._authority.issue_cert(NAME, "127.0.0.1", not_after=past))

    def wrong_name(self) -> ssl.SSLContext:
        return _context(self._authority.issue_cert("somebody-else.com"))

    def unknown_authority(self) -> ssl.SSLContext:
        return _context(self._stranger.issue_cert(NAME, "127.0.0.1"))

    def self_signed(self, folder: Path) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
        now = dt.datetime.now(dt.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
            .sign(key, hashes.SHA256())
        )
        path = folder / "self-signed.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


def _context(leaf: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    return context


@cache
def certificates() -> Certificates:
    """One set for the whole run: keys are slow to make."""
    return Certificates()
