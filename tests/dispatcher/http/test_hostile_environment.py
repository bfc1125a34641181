"""What stands in the environment and in the home directory leads nothing astray, believes nobody and writes nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.dispatcher.http.conftest import CLIENTS
from tests.receivers import Receiver
from tests.receivers.certificates import certificates
from tests.receivers.scripts import canary, keep_alive

ROOT = Path(__file__).resolve().parents[3]
ELSEWHERE = "127.0.0.2"
NETRC = "machine 127.0.0.1 login alice password wonderland\ndefault login bob password builder\n"


def errand(kind: str, environment: dict[str, str], *urls: str) -> list[str]:
    command = [sys.executable, "-m", "tests.dispatcher.http.errand", kind, *urls]
    clean = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    done = subprocess.run(
        command, cwd=ROOT, env=clean | environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def hostile(home: Path, proxy: str, ca_file: str) -> dict[str, str]:
    """Everything that curl, requests, OpenSSL or the C library is known to look at."""
    curlrc = f'proxy = "{proxy}"\nlocation\nnetrc\ninsecure\nuser = "alice:wonderland"\nurl = "{proxy}/leak"\n'
    for name in (".curlrc", "_curlrc", "curlrc"):
        (home / name).write_text(curlrc)
    for name in (".netrc", "_netrc"):
        (home / name).write_text(NETRC)
    proxies = {
        f"{name}_proxy": proxy for name in ("http", "https", "all", "HTTP", "HTTPS", "ALL", "socks", "ws", "ftp")
    }
    return {
        **proxies,
        **{name.upper(): proxy for name in proxies},
        "no_proxy": "",
        "NO_PROXY": "localhost",
        "CURL_HOME": str(home),
        "XDG_CONFIG_HOME": str(home),
        "HOME": str(home),
        "NETRC": str(home / ".netrc"),
        "SSL_CERT_FILE": ca_file,
        "SSL_CERT_DIR": str(Path(ca_file).parent),
        "CURL_CA_BUNDLE": ca_file,
        "REQUESTS_CA_BUNDLE": ca_file,
        "SSLKEYLOGFILE": str(home / "keys.log"),
        "RES_OPTIONS": "ndots:15",
        "LOCALDOMAIN": "merchant-one.com",
    }


@pytest.mark.parametrize("kind", sorted(CLIENTS))
def test_nothing_of_it_is_heard(kind: str, tmp_path: Path, ca_file: str) -> None:
    moved = b"HTTP/1.1 307 X\r\nLocation: http://%s:%d/\r\nContent-Length: 0\r\n\r\n"
    with (
        Receiver(canary) as proxy,
        Receiver(canary, host=ELSEWHERE) as forbidden,
        Receiver(keep_alive()) as plain,
        Receiver(keep_alive(moved % (ELSEWHERE.encode(), forbidden.port))) as redirecting,
        Receiver(keep_alive(), tls=certificates().valid()) as secure,
    ):
        environment = hostile(tmp_path, f"http://127.0.0.1:{proxy.port}", ca_file)
        urls = [forbidden.url(), plain.url(), redirecting.url(), secure.url()]
        reasons = errand(kind, environment, *urls)
        assert reasons == ["blocked_address", "delivered", "http_redirect", "tls_cert_untrusted"]
        assert (proxy.connections, forbidden.connections) == (0, 0)
        assert [request.line for request in plain.requests] == ["POST / HTTP/1.1"]
        names = {name.lower() for name, _ in plain.requests[0].headers}
        assert names <= {"host", "content-length", "x-webhook-id", "content-type"}
        assert secure.requests == []


@pytest.mark.parametrize("kind", sorted(CLIENTS))
def test_the_keys_of_tls_are_written_nowhere(kind: str, tmp_path: Path) -> None:
    """With them, whoever has recorded the traffic reads secrets and payloads."""
    keys = tmp_path / "keys.log"
    with Receiver(keep_alive(), tls=certificates().valid()) as receiver:
        assert errand(kind, {"SSLKEYLOGFILE": str(keys)}, receiver.url()) == ["tls_cert_untrusted"]
    assert not keys.exists() or keys.read_text() == ""
