"""What goes on the wire: our headers and nothing else, our bytes, one request."""

from pathlib import Path

import pytest

from dispatcher.outcomes import Reason
from tests.dispatcher.http.conftest import Sender, target_of
from tests.receivers import Receiver
from tests.receivers.certificates import NAME
from tests.receivers.scripts import keep_alive


def test_sends_exactly_the_headers_it_was_given(sender: Sender) -> None:
    headers = [
        ("Content-Type", "application/json"),
        ("X-Webhook-Id", "evt_1"),
        ("X-Twice", "a"),
        ("X-Twice", "b"),
        ("X-Empty", ""),
        ("X-Latin", "caf\xe9"),
    ]
    with Receiver(keep_alive()) as receiver:
        sender.send(receiver.url("/in?x=1&y=%2F"), headers=headers)
        received = receiver.requests[0]
        own = [("Host", f"127.0.0.1:{receiver.port}"), ("Content-Length", "7")]
    assert received.line == "POST /in?x=1&y=%2F HTTP/1.1"
    assert sorted(received.headers) == sorted(headers + own)


@pytest.mark.parametrize("path", ["/", "/a//b", "//double", "/%7Euser/%2e", "/a;b?c=%20+&d", "/?"])
def test_sends_the_path_as_the_target_spells_it(sender: Sender, path: str) -> None:
    with Receiver(keep_alive()) as receiver:
        sender.send(receiver.url(path))
        assert receiver.requests[0].path == target_of(receiver.url(path)).path


def test_names_the_host_of_the_url_and_not_the_address(sender: Sender) -> None:
    with Receiver(keep_alive()) as receiver:
        outcome = sender.send(receiver.url("/", name=NAME))
        assert receiver.requests[0].header("host") == f"{NAME}:{receiver.port}"
    assert outcome.reason is Reason.DELIVERED
    assert outcome.peer == f"127.0.0.1:{receiver.port}"


@pytest.mark.parametrize("size", [0, 1, 65_536, 262_144, 1_000_000])
def test_sends_every_byte_of_the_body_once(sender: Sender, size: int) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    with Receiver(keep_alive()) as receiver:
        client = sender.client()
        for _ in range(2):
            assert sender.send(receiver.url(), client=client, body=body).reason is Reason.DELIVERED
        assert [request.body for request in receiver.requests] == [body, body]
        assert receiver.requests[0].header("expect") is None


@pytest.mark.parametrize(
    "header",
    [
        ("X-Split", "a\r\nHost: other"),
        ("X-Split", "a\nb"),
        ("X-Nul", "a\0b"),
        ("X-Wide", "\u20ac"),
        ("Bad Name", "a"),
        ("", "a"),
        ("Transfer-Encoding", "chunked"),
        ("Host", "other"),
        ("content-length", "1"),
        ("Expect", "100-continue"),
    ],
)
def test_a_header_that_cannot_be_sent_is_our_fault_and_sends_nothing(sender: Sender, header: tuple[str, str]) -> None:
    with Receiver(keep_alive()) as receiver:
        client = sender.client()
        assert sender.send(receiver.url(), client=client, headers=[header]).reason is Reason.INTERNAL_ERROR
        assert receiver.connections == 0
        assert sender.send(receiver.url(), client=client).reason is Reason.DELIVERED


def test_ignores_proxies_and_netrc_of_the_environment(
    sender: Sender, quiet_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Receiver(keep_alive()) as receiver, Receiver(keep_alive()) as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        netrc = quiet_environment / ".netrc"
        netrc.write_text("machine 127.0.0.1 login alice password wonderland\ndefault login bob password builder\n")
        monkeypatch.setenv("NETRC", str(netrc))
        assert sender.send(receiver.url()).reason is Reason.DELIVERED
        assert receiver.requests[0].header("authorization") is None
        assert proxy.connections == 0


def test_remembers_no_cookies(sender: Sender) -> None:
    answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Path=/\r\nContent-Length: 0\r\n\r\n"
    with Receiver(keep_alive(answer)) as receiver:
        client = sender.client()
        for _ in range(2):
            sender.send(receiver.url(), client=client)
        assert [request.header("cookie") for request in receiver.requests] == [None, None]
