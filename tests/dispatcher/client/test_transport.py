"""What goes over the wire when the platform, or the road to it, has a bad moment. Against scripted servers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dispatcher.client import (
    NEVER,
    ApiError,
    BadInput,
    Conflict,
    Forbidden,
    Invalid,
    Merchant,
    NetworkError,
    NewEvent,
    NotFound,
    Provider,
    Retry,
    Stale,
    TooLarge,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
    UnexpectedAnswer,
)
from dispatcher.client.transport import Call, Transport
from tests.dispatcher.client.scripted import answer, asked, base, hang_up, keys, problem, script, stay_silent
from tests.receivers.receiver import Receiver, Script
from tests.receivers.scripts import canary

ACCEPTED = {"id": "evt_1", "duplicate": False, "deliveries": 2}
FAST = Retry(first_wait_s=0.001, longest_wait_s=0.001)

Receive = Callable[[Script], Receiver]


def publish(receiver: Receiver, *, retry: Retry = FAST, **options: Any) -> Any:
    with Provider(base(receiver), "a-key", retry=retry, **options) as provider:
        return provider.events.publish("invoice.paid", {"id": 1}, merchant="acme")


def transport(receiver: Receiver, pauses: list[float], *, retry: Retry = FAST) -> Transport:
    return Transport(base(receiver), "a-key", retry=retry, pause=pauses.append)


POST = Call("POST", "/x", body=b"{}", idempotency_key="k")


@pytest.mark.parametrize("status", [429, 503])
def test_a_publish_that_was_told_to_wait_waits_so_long_and_is_the_same_request_again(
    receive: Receive, status: int
) -> None:
    receiver = receive(script(problem(status, "busy", Retry_After="3"), answer(202, ACCEPTED)))
    pauses: list[float] = []

    got = transport(receiver, pauses).call(POST)

    assert (got.status, got.attempts) == (202, 2)
    assert pauses == [3.0]
    first, second = receiver.requests
    assert (first.line, first.body) == (second.line, second.body)
    assert keys(receiver) == ["k", "k"]


def test_the_wait_is_really_spent(receive: Receive) -> None:
    receiver = receive(script(problem(429, "busy", Retry_After="1"), answer(202, ACCEPTED)))

    publish(receiver)

    first, second = receiver.requests
    assert second.at - first.at >= 1.0


def test_whoever_is_asked_to_wait_beyond_the_budget_is_told_at_once(receive: Receive) -> None:
    receiver = receive(script(problem(429, "busy", Retry_After="3600")))
    pauses: list[float] = []

    with pytest.raises(TooManyRequests) as caught:
        transport(receiver, pauses).call(POST)

    assert caught.value.retry_after_s == 3600
    assert pauses == []
    assert len(receiver.requests) == 1


def test_in_the_end_the_last_refusal_is_raised(receive: Receive) -> None:
    receiver = receive(script(problem(503, "unavailable")))

    with pytest.raises(Unavailable, match=r"^503 A title: A sentence\. \(request r-1\)$"):
        publish(receiver, retry=Retry(attempts=3, first_wait_s=0.001))

    assert len(receiver.requests) == 3


def test_a_lost_answer_is_asked_for_again_with_the_same_key_and_the_same_bytes(receive: Receive) -> None:
    receiver = receive(script(hang_up, hang_up, answer(202, ACCEPTED)))

    accepted = publish(receiver)

    assert (accepted.id, accepted.is_duplicate, accepted.deliveries) == ("evt_1", False, 2)
    assert len(set(keys(receiver))) == 1
    assert len({one.body for one in receiver.requests}) == 1
    assert len(receiver.requests) == 3


def test_every_call_has_a_key_of_its_own_unless_it_brings_one(receive: Receive) -> None:
    receiver = receive(script(answer(202, ACCEPTED)))
    with Provider(base(receiver), "a-key") as provider:
        for given in (None, None, "mine"):
            provider.events.publish("invoice.paid", {}, merchant="acme", idempotency_key=given)

    one, two, three = keys(receiver)
    assert three == "mine"
    assert one != two
    assert len(str(one)) == len(str(two)) == 32


def test_the_first_request_that_is_still_under_way_is_waited_for(receive: Receive) -> None:
    receiver = receive(script(problem(409, "in_progress"), answer(202, ACCEPTED)))

    assert publish(receiver).id == "evt_1"


def test_a_change_that_may_have_been_made_is_not_made_again(receive: Receive) -> None:
    receiver = receive(script(hang_up))

    with Merchant(base(receiver), "a-key", retry=FAST) as merchant, pytest.raises(NetworkError):
        merchant.endpoints.update("ep_1", description="new")
    with Merchant(base(receiver), "a-key", retry=FAST) as merchant, pytest.raises(NetworkError):
        merchant.endpoints.delete("ep_1", if_match=3)

    assert asked(receiver) == [
        ("PATCH", "/api/v2/webhooks/endpoints/ep_1"),
        ("DELETE", "/api/v2/webhooks/endpoints/ep_1"),
    ]


def test_a_deletion_whose_answer_was_lost_is_done(receive: Receive) -> None:
    receiver = receive(script(hang_up, problem(404, "not_found")))

    with Merchant(base(receiver), "a-key", retry=FAST) as merchant:
        merchant.endpoints.delete("ep_1")

    assert len(receiver.requests) == 2


def test_a_deletion_of_nothing_is_told(receive: Receive) -> None:
    receiver = receive(script(problem(404, "not_found")))

    with Merchant(base(receiver), "a-key") as merchant, pytest.raises(NotFound):
        merchant.endpoints.delete("ep_1")


def test_nobody_there_is_tried_again_and_then_told_in_a_few_words() -> None:
    with Receiver(canary) as gone:
        url = base(gone)
    pauses: list[float] = []

    with pytest.raises(NetworkError, match=r"^127\.0\.0\.1:\d+: Connection refused$"):
        Transport(url, "a-key", retry=Retry(attempts=3), pause=pauses.append).call(Call("PATCH", "/x"))

    assert len(pauses) == 2


def test_a_silent_platform_is_given_up(receive: Receive) -> None:
    receiver = receive(script(stay_silent))

    with pytest.raises(NetworkError, match=r"no answer within 0\.2 s$"):
        publish(receiver, retry=NEVER, read_timeout_s=0.2)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, ApiError),
        (401, Unauthenticated),
        (403, Forbidden),
        (404, NotFound),
        (409, Conflict),
        (412, Stale),
        (413, TooLarge),
        (422, Invalid),
        (500, Unavailable),
    ],
)
def test_each_refusal_has_its_own_error_and_is_not_repeated(
    receive: Receive, status: int, kind: type[ApiError]
) -> None:
    receiver = receive(script(problem(status, "a_code")))

    with pytest.raises(ApiError) as caught:
        publish(receiver)

    error = caught.value
    assert type(error) is kind
    assert (error.status, error.code, error.title) == (status, "a_code", "A title")
    assert (error.detail, error.request_id, error.errors) == ("A sentence.", "r-1", ())
    assert len(receiver.requests) == 1


def test_wrong_fields_are_told_with_their_pointers(receive: Receive) -> None:
    fault = {"pointer": "/payload", "code": "required", "message": "This field is required."}
    body = {
        "title": "Unprocessable Content",
        "detail": "This field is required.",
        "request_id": "r-9",
        "errors": [fault],
    }
    receiver = receive(script(answer(422, body)))

    with pytest.raises(Invalid) as caught:
        publish(receiver)

    (error,) = caught.value.errors
    assert (error.pointer, error.code, error.message) == ("/payload", "required", "This field is required.")
    assert str(caught.value) == "422 Unprocessable Content: /payload: This field is required. (request r-9)"


def test_what_a_proxy_says_is_an_error_too(receive: Receive) -> None:
    receiver = receive(script(answer(502, b"<h1>Bad gateway</h1>", X_Request_Id="r-2")))

    with pytest.raises(Unavailable, match=r"^502 Bad Gateway \(request r-2\)$"):
        publish(receiver, retry=NEVER)


def test_an_answer_of_another_form_is_no_success(receive: Receive) -> None:
    receiver = receive(script(answer(200, b"<h1>Welcome</h1>")))

    with pytest.raises(UnexpectedAnswer):
        publish(receiver)


def test_a_redirect_is_told_and_the_key_stays_here(receive: Receive) -> None:
    elsewhere = receive(canary)
    receiver = receive(script(answer(301, Location=base(elsewhere))))

    with pytest.raises(UnexpectedAnswer, match="give that as the base URL"):
        publish(receiver)

    assert elsewhere.connections == 0


def test_a_link_to_another_host_is_not_followed(receive: Receive) -> None:
    elsewhere = receive(canary)
    link = f'<{base(elsewhere)}/api/v2/webhooks/events?cursor=abc&limit=1>; rel="next"'
    receiver = receive(script(answer(200, [], Link=link), answer(200, [])))

    with Merchant(base(receiver), "a-key") as merchant:
        assert list(merchant.events.list(page_size=1)) == []

    assert elsewhere.connections == 0
    assert asked(receiver)[1] == ("GET", "/api/v2/webhooks/events?limit=1&cursor=abc")


def test_neither_a_netrc_nor_a_proxy_of_the_environment_comes_in_between(
    receive: Receive, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    proxy = receive(canary)
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", base(proxy))
    monkeypatch.setenv("http_proxy", base(proxy))
    receiver = receive(script(answer(202, ACCEPTED)))

    publish(receiver)

    assert receiver.requests[0].header("Authorization") == "Bearer a-key"
    assert proxy.connections == 0


def test_it_says_who_it_is(receive: Receive) -> None:
    receiver = receive(script(answer(202, ACCEPTED)))

    publish(receiver, user_agent="acme-billing/7")

    (request,) = receiver.requests
    assert str(request.header("User-Agent")).startswith("acme-billing/7 signet-python/")
    assert request.header("Content-Type") == "application/json"


def test_cookies_are_not_kept(receive: Receive) -> None:
    receiver = receive(script(answer(202, ACCEPTED, Set_Cookie="a=b; Path=/")))

    with Provider(base(receiver), "a-key") as provider:
        for _ in range(2):
            provider.events.publish("invoice.paid", {}, merchant="acme")

    assert [one.header("Cookie") for one in receiver.requests] == [None, None]


def test_one_connection_carries_many_calls(receive: Receive) -> None:
    receiver = receive(script(answer(202, ACCEPTED)))

    with Provider(base(receiver), "a-key") as provider:
        for _ in range(5):
            provider.events.publish("invoice.paid", {}, merchant="acme")

    assert (receiver.connections, len(receiver.requests)) == (1, 5)


def test_bytes_of_a_payload_are_not_touched_in_their_envelope(receive: Receive) -> None:
    payload = b'{"total": 12.50,   "b":1e2, "a":"\\u00e9 \xc3\xa9"}'
    receiver = receive(script(answer(202, ACCEPTED), answer(202, {"events": [ACCEPTED]})))

    with Provider(base(receiver), "a-key") as provider:
        provider.events.publish("invoice.paid", payload, merchant="acme")
        provider.events.publish_batch([NewEvent(type="invoice.paid", payload=payload, merchant="acme")])

    assert all(payload in one.body for one in receiver.requests)
    assert json.loads(receiver.requests[0].body)["merchant"] == "acme"


@pytest.mark.parametrize(
    "payload",
    [b"", b"nonsense", b'{}, "merchant": "mallory"', b'{}}, {"a": {}', b"{", b'{"a":1,}', b"\xff"],
)
def test_bytes_that_are_no_json_value_are_not_sent(receive: Receive, payload: bytes) -> None:
    """They could say something else of the event around them."""
    receiver = receive(canary)

    with Provider(base(receiver), "a-key") as provider, pytest.raises(BadInput):
        provider.events.publish("invoice.paid", payload, merchant="acme")

    assert receiver.connections == 0


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_no_id_leads_to_another_path(receive: Receive, name: str) -> None:
    receiver = receive(canary)

    with Merchant(base(receiver), "a-key") as merchant, pytest.raises(BadInput):
        merchant.events.get(name)

    assert receiver.connections == 0


def test_an_id_may_hold_what_a_path_may_not(receive: Receive) -> None:
    receiver = receive(script(problem(404, "not_found")))

    with Merchant(base(receiver), "a-key") as merchant, pytest.raises(NotFound):
        merchant.events.get("order/../7?x#y z")

    assert asked(receiver) == [("GET", "/api/v2/webhooks/events/order%2F..%2F7%3Fx%23y%20z")]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "signet.example",
        "ftp://signet.example",
        "https://",
        "https://user:pw@signet.example",
        "https://a/?b=c",
        "https://[",
        "http://a:0",
    ],
)
def test_a_base_url_that_is_none_is_told_before_anything_is_sent(url: str) -> None:
    with pytest.raises(BadInput):
        Provider(url, "a-key")


@pytest.mark.parametrize("key", ["", "two words", "line\nend", "schlüssel"])
def test_a_key_that_is_none_is_told_before_anything_is_sent(key: str) -> None:
    with pytest.raises(BadInput):
        Provider("https://signet.example", key)


def test_the_session_never_shows_its_key() -> None:
    with Provider("https://signet.example", "a-very-secret-key") as provider:
        assert "a-very-secret-key" not in repr(vars(provider))


def test_a_wait_that_is_too_long_is_given_up(receive: Receive) -> None:
    running = {
        "id": "rpl_1",
        "kind": "release",
        "endpoint": "ep_1",
        "status": "running",
        "stop_reason": None,
        "since": "2026-03-01T12:00:00Z",
        "until": "2026-03-01T13:00:00Z",
        "sent": 5,
        "progress": 0.5,
        "created_at": "2026-03-01T13:00:00Z",
        "finished_at": None,
    }
    receiver = receive(script(answer(200, running)))
    seen: list[float] = []

    with Merchant(base(receiver), "a-key") as merchant, pytest.raises(TimeoutError, match="rpl_1"):
        merchant.replays.wait("rpl_1", timeout_s=0.2, every_s=0.05, on_progress=lambda one: seen.append(one.progress))

    assert set(seen) == {0.5}
    assert set(asked(receiver)) == {("GET", "/api/v2/webhooks/replays/rpl_1")}
