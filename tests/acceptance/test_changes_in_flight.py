"""Endpoints change and replays come while requests are in the air."""

import threading
import time

import pytest

from tests.acceptance.conftest import Start
from tests.acceptance.provider import Place, Provider
from tests.acceptance.stack import wait_until

pytestmark = pytest.mark.acceptance

PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def hurt(start: Start) -> Provider:
    return start(RETRY_SCHEDULE="1,1,1,1")


def flying(hurt: Provider, name: str) -> Place:
    """An endpoint with a backlog of 60 and four requests in the air."""
    place = hurt.add_endpoint(hurt.add_merchant(name), name, max_in_flight=4)
    hurt.recorder.behave(f"/{name}/", delay_s=0.5)
    hurt.publish(place.merchant, 60)
    wait_until(lambda: hurt.recorder.count(f"/{name}/") >= 4, seconds=PATIENCE_S, what="requests are in the air")
    return place


def statuses(hurt: Provider, place: Place) -> set[str]:
    return {owed.status for owed in hurt.ledger().owed if owed.endpoint == place.name}


def test_a_disabled_endpoint_gets_nothing_more_and_everything_later(hurt: Provider) -> None:
    place = flying(hurt, "disabled")
    hurt.disable(place)
    hurt.wait_for_end(seconds=PATIENCE_S)
    # What was in the air when it was disabled may end as it likes; nothing else was begun.
    assert hurt.recorder.count("/disabled/") < 20
    assert statuses(hurt, place) == {"delivered", "held"}
    hurt.ledger(is_faultless=True).check()
    hurt.recorder.behave("/disabled/")
    hurt.enable(place)
    hurt.replay(place, "release")
    wait_until(lambda: statuses(hurt, place) == {"delivered"}, seconds=PATIENCE_S, what="what was held is delivered")
    hurt.ledger(is_faultless=True).check()
    assert hurt.recorder.count("/disabled/") == 60


def test_a_deleted_endpoint_gets_nothing_more(hurt: Provider) -> None:
    place = flying(hurt, "deleted")
    hurt.delete(place)
    hurt.wait_for_end(seconds=PATIENCE_S)
    assert hurt.recorder.count("/deleted/") < 20
    assert statuses(hurt, place) == {"delivered", "cancelled"}
    hurt.ledger(is_faultless=True).check()


def test_a_moved_endpoint_gets_the_rest_at_its_new_address(hurt: Provider) -> None:
    place = flying(hurt, "moved")
    hurt.move(place)
    hurt.wait_for_end(seconds=PATIENCE_S)
    assert 0 < hurt.recorder.count("/moved/0/") < 20
    assert hurt.recorder.count("/moved/") == 60
    hurt.ledger(is_faultless=True).check()


def test_every_signature_verifies_through_rotations(hurt: Provider) -> None:
    place = flying(hurt, "rotated")
    for _ in range(5):
        hurt.rotate(place)
        time.sleep(0.3)
    hurt.wait_for_end(seconds=PATIENCE_S)
    assert {post.verdict for post in hurt.recorder.posts() if post.endpoint == "rotated"} == {"good"}
    hurt.ledger(is_faultless=True).check()


def test_replays_that_race_with_retries_never_make_two_attempts_at_once(hurt: Provider) -> None:
    place = hurt.add_endpoint(hurt.add_merchant("racing"), "racing", max_in_flight=4)
    hurt.recorder.behave("/racing/", failing=0.5, delay_s=0.1)
    events = hurt.publish(place.merchant, 20)

    def ask_again() -> None:
        for _ in range(3):
            for event_id in events:
                hurt.resend(place, event_id)

    callers = [threading.Thread(target=ask_again) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    hurt.recorder.behave("/racing/")
    hurt.replay(place, "recover")
    hurt.wait_for_end(seconds=PATIENCE_S)
    hurt.ledger(is_faultless=True).check()


def test_a_flood_of_changes_loses_no_event(hurt: Provider) -> None:
    """Disabled and enabled, moved and rotated, while events come in: all is delivered, or held and then released."""
    place = hurt.add_endpoint(hurt.add_merchant("flooded"), "flooded")
    stopping = threading.Event()

    def publish() -> None:
        while not stopping.wait(0.02):
            hurt.publish_one(place.merchant)

    publisher = threading.Thread(target=publish)
    publisher.start()
    try:
        for _ in range(5):
            hurt.disable(place)
            hurt.rotate(place)
            hurt.enable(place)
            hurt.move(place)
            hurt.replay(place, "release")
            time.sleep(0.3)
    finally:
        stopping.set()
        publisher.join()
    held = "SELECT 1 FROM deliveries_replay WHERE status = 'running'"
    wait_until(lambda: not hurt.stack.sql(held), seconds=PATIENCE_S, what="replays end")
    hurt.replay(place, "release")
    wait_until(lambda: statuses(hurt, place) == {"delivered"}, seconds=PATIENCE_S, what="all of it is delivered")
    hurt.ledger(is_faultless=True).check()
