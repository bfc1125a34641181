"""Rows that cannot be sent, beside healthy ones: the platform says so at the one, and serves the others."""

import pytest

from tests.acceptance.conftest import Start
from tests.acceptance.provider import Place, Provider

pytestmark = pytest.mark.acceptance

PATIENCE_S = 60.0

UPDATES = {
    "undecryptable": """
        UPDATE subscriptions_signingsecret SET ciphertext = decode('00ff', 'hex') WHERE endpoint_id = %s""",
    "impossible-header": """
        UPDATE subscriptions_endpoint SET headers = '{"X-A": "b\\r\\nX-C: d"}', version = version + 1 WHERE id = %s""",
    "headers-of-another-kind": """
        UPDATE subscriptions_endpoint SET headers = '[1]', version = version + 1 WHERE id = %s""",
    "no-such-profile": """
        UPDATE subscriptions_endpoint SET profile = 'gone', version = version + 1 WHERE id = %s""",
    "no-such-scheme": """
        UPDATE subscriptions_endpoint SET target = replace(target, 'http:', 'gopher:'), version = version + 1
        WHERE id = %s""",
    "no-such-ack": """
        UPDATE subscriptions_endpoint SET ack = '{"nothing": 1}', version = version + 1 WHERE id = %s""",
}


@pytest.fixture(scope="module")
def hurt(start: Start) -> Provider:
    return start(RETRY_SCHEDULE="1,1")


def test_rows_that_cannot_be_sent_are_set_aside_and_the_others_arrive(hurt: Provider) -> None:
    merchant = hurt.add_merchant("m")
    healthy = hurt.add_endpoint(merchant, "healthy")
    form = hurt.add_endpoint(merchant, "form", profile="twilio", secret="0123456789abcdef0123456789abcdef")
    sick = {name: hurt.add_endpoint(merchant, name) for name in UPDATES}
    for name, place in sick.items():
        poison(hurt, place, UPDATES[name])
    # So few that no breaker opens: what waits for one waits for minutes.
    hurt.publish(merchant, 2)
    # A list has no form.
    body = {"type": "invoice.paid", "merchant": merchant, "payload": [[["the-payload-of-4711"]]]}
    _, answer = hurt.insist("POST", "/api/v2/events", body, ok=(202,))
    hurt.accepted[answer["id"]] = ""
    hurt.wait_for_end(seconds=PATIENCE_S)
    by_name = {name: set(status(hurt, place)) for name, place in (sick | {"healthy": healthy}).items()}
    assert by_name.pop("healthy") == {("delivered", "delivered")}
    # Ours, but for the address: no attempt of the receiver's is used up, and people find them held.
    assert by_name.pop("no-such-scheme") <= {("failed", "invalid_url"), ("held", "internal_error")}
    assert by_name == {name: {("held", "internal_error")} for name in by_name}
    assert hurt.recorder.count("/healthy/") == 3
    assert {post.endpoint for post in hurt.recorder.posts()} == {"healthy", "form"}
    assert ("held", "internal_error") in status(hurt, form) or len(status(hurt, form)) == 3


def poison(hurt: Provider, place: Place, update: str) -> None:
    hurt.stack.sql(update + " RETURNING 1", row_id(hurt, place))


def row_id(hurt: Provider, place: Place) -> object:
    url = hurt.recorder.url(place.path)
    return hurt.stack.sql("SELECT id FROM subscriptions_endpoint WHERE target = %s", url)[0][0]


def status(hurt: Provider, place: Place) -> list[tuple[str, str]]:
    return [
        (row[0], row[1])
        for row in hurt.stack.sql(
            "SELECT d.status, d.last_reason FROM deliveries_delivery d JOIN subscriptions_endpoint p"
            " ON p.id = d.endpoint_id WHERE p.target LIKE %s",
            f"%/{place.name}/%",
        )
    ]
