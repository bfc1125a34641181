"""A process dies at each named place; the others carry on, and nothing is lost, doubled or forgotten."""

from base64 import b64encode
from collections.abc import Iterator

import pytest

from tests.acceptance.conftest import Start
from tests.acceptance.ledger import interrupted
from tests.acceptance.provider import Place, Provider
from tests.acceptance.stack import wait_until

pytestmark = pytest.mark.acceptance

WEB = ["publish.written", "wake.committed", "wake.marked", "bell.set"]
DRAIN = ["drain.claimed", "drain.sent", "drain.flying", "drain.landed", "turn.recorded", "turn.written"]
LEASE_S = 30
# After which what a dead drain held is taken up.
PATIENCE_S = 90.0
OLD_KEY, NEW_KEY = (b64encode(bytes(range(start, start + 32))).decode() for start in (1, 101))


@pytest.fixture(scope="module")
def hurt(start: Start) -> Provider:
    return start(RETRY_SCHEDULE="1,1,1,1", ENCRYPTION_KEYS=f"{OLD_KEY},{NEW_KEY}")


@pytest.fixture(autouse=True)
def _nothing_armed(hurt: Provider) -> Iterator[None]:
    yield
    hurt.stack.disarm()


def add(hurt: Provider, name: str, **fields: object) -> Place:
    return hurt.add_endpoint(hurt.add_merchant(name), name, **fields)


def wait_for_death(hurt: Provider, place: str) -> None:
    wait_until(lambda: not hurt.stack.is_armed(place), seconds=PATIENCE_S, what=f"somebody dies at {place}")


def test_a_place_that_is_not_known_kills_nobody(hurt: Provider) -> None:
    here = add(hurt, "nobody")
    hurt.stack.arm("nowhere")
    before = {one.pid for one in hurt.stack.running()}
    hurt.publish_one(here.merchant)
    hurt.wait_for_end(seconds=PATIENCE_S)
    assert before <= {one.pid for one in hurt.stack.running()}
    assert hurt.stack.is_armed("nowhere")


def test_production_does_not_start_with_places_to_die_at(hurt: Provider) -> None:
    done = hurt.stack.try_manage("check", DEBUG="false", SECRET_KEY="0123456789abcdefghijklmnopqrstuvwxyz" * 2)
    assert done.returncode != 0
    assert "SIGNET_KILL_AT lets processes be killed and is for tests only" in done.stderr


@pytest.mark.parametrize("place", WEB)
def test_web_dies_while_it_publishes(hurt: Provider, place: str) -> None:
    """Before the commit, after it, between the mark and the bell, between the bell's key and its message."""
    here = add(hurt, place)
    before = set(hurt.stack.pool_pids("web"))
    hurt.stack.arm(place)
    event_id = hurt.publish_one(here.merchant)
    assert not hurt.stack.is_armed(place)
    assert before - set(hurt.stack.pool_pids("web"))
    hurt.wait_for_end(seconds=PATIENCE_S)
    assert [post.event_id for post in hurt.recorder.posts() if post.endpoint == place] == [event_id]
    hurt.ledger(is_faultless=True).check()


def test_a_secret_is_rotated_once_when_web_dies_before_the_commit(hurt: Provider) -> None:
    here = add(hurt, "rotating")
    hurt.stack.arm("secret.rotated")
    hurt.rotate(here)
    assert not hurt.stack.is_armed("secret.rotated")
    [(count,)] = hurt.stack.sql(
        "SELECT count(*) FROM subscriptions_signingsecret s JOIN subscriptions_endpoint p ON p.id = s.endpoint_id"
        " WHERE p.target = %s",
        hurt.recorder.url(here.path),
    )
    assert count == 2
    hurt.recorder.know(f"/{here.name}/", here.secrets[-1])
    hurt.publish_one(here.merchant)
    hurt.wait_for_end(seconds=PATIENCE_S)
    hurt.ledger(is_faultless=True).check()


def test_a_command_that_dies_before_its_commit_can_be_run_again(hurt: Provider) -> None:
    hurt.stack.manage("rotate_provider_key", "ed25519", "--yes")
    before = hurt.stack.sql("SELECT id, signs_until FROM subscriptions_providerkey ORDER BY id")
    hurt.stack.arm("provider_key.rotated")
    assert hurt.stack.try_manage("rotate_provider_key", "ed25519", "--yes").returncode == -9
    assert hurt.stack.sql("SELECT id, signs_until FROM subscriptions_providerkey ORDER BY id") == before
    hurt.stack.manage("rotate_provider_key", "ed25519", "--yes")
    assert len(hurt.stack.sql("SELECT id FROM subscriptions_providerkey")) == len(before) + 1


def test_an_encryption_key_is_rotated_while_everything_goes_on(hurt: Provider) -> None:
    here = add(hurt, "resealed")
    ring = f"{NEW_KEY},{OLD_KEY}"
    hurt.stack.arm("reencryption.renewed")
    assert hurt.stack.try_manage("rotate_encryption_keys", ENCRYPTION_KEYS=ring).returncode == -9
    hurt.stack.manage("rotate_encryption_keys", ENCRYPTION_KEYS=ring)
    # Nothing needs the old key any more.
    told = hurt.stack.manage("rotate_encryption_keys", ENCRYPTION_KEYS=NEW_KEY)
    assert told.endswith("Everything is encrypted with the first key.\n")
    hurt.publish_one(here.merchant)
    hurt.wait_for_end(seconds=PATIENCE_S)
    hurt.ledger(is_faultless=True).check()


@pytest.mark.slow
def test_a_drain_dies_at_every_place_of_its_round(hurt: Provider) -> None:
    """Between claim and POST, with requests in the air, with answers in its hand, before and after the commit."""
    for place in [*DRAIN, "turn.committed"]:
        here = add(hurt, place)
        hurt.recorder.behave(f"/{place}/", delay_s=0.3)
        hurt.stack.arm(place)
        hurt.publish(here.merchant, 6)
        wait_for_death(hurt, place)
    hurt.wait_for_end(seconds=LEASE_S + PATIENCE_S)
    ledger = hurt.ledger()
    ledger.check()
    by_place = {place: [owed for owed in ledger.owed if owed.endpoint == place] for place in DRAIN}
    assert {place: {owed.status for owed in by_place[place]} for place in DRAIN} == {
        place: {"delivered"} for place in DRAIN
    }
    # Whoever dies before its first commit has sent nothing, and nobody needs to be told of it.
    assert all(interrupted(by_place[place]) for place in DRAIN if place != "turn.written")
    # It had the answers, and they are lost with it: those come again, with the same id.
    assert any(len(owed.posts) > 1 for owed in by_place["drain.landed"])
    assert not any(len(owed.posts) > 1 for owed in by_place["drain.claimed"])


@pytest.mark.slow
def test_a_drain_dies_between_settling_a_closed_endpoint_and_its_commit(hurt: Provider) -> None:
    here = add(hurt, "settled", max_in_flight=1)
    hurt.recorder.behave("/settled/", delay_s=1)
    hurt.publish(here.merchant, 30)
    hurt.stack.arm("turn.settled")
    hurt.disable(here)
    wait_for_death(hurt, "turn.settled")
    hurt.wait_for_end(seconds=LEASE_S + PATIENCE_S)
    ledger = hurt.ledger()
    ledger.check()
    assert "held" in {owed.status for owed in ledger.owed if owed.endpoint == "settled"}
    hurt.recorder.behave("/settled/")
    hurt.enable(here)
    hurt.replay(here, "release")
    wait_until(
        lambda: not hurt.stack.sql("SELECT 1 FROM deliveries_delivery WHERE status <> 'delivered'"),
        seconds=LEASE_S + PATIENCE_S,
        what="what was held is delivered",
    )
    hurt.ledger().check()


@pytest.mark.slow
def test_chores_die_in_the_middle(hurt: Provider) -> None:
    """The sweep before it wakes, the roll-up between two steps, a replay before its commit."""
    here = add(hurt, "chores", retry_schedule=[])
    hurt.recorder.behave("/chores/", status=500)
    hurt.stack.arm("wake.committed")
    hurt.stack.arm("sweep.found")
    hurt.publish_one(here.merchant)
    wait_for_death(hurt, "sweep.found")
    hurt.publish(here.merchant, 5)
    hurt.wait_for_end(seconds=PATIENCE_S)
    hurt.stack.arm("roll_up.stepped")
    wait_for_death(hurt, "roll_up.stepped")
    hurt.ledger(is_faultless=False).check()
    hurt.recorder.behave("/chores/")
    hurt.stack.arm("replay.stepped")
    hurt.replay(here, "recover")
    wait_for_death(hurt, "replay.stepped")
    replays = "SELECT status, sent FROM deliveries_replay WHERE kind = 'recover'"
    wait_until(lambda: hurt.stack.sql(replays) == [("finished", 6)], seconds=PATIENCE_S, what="the replay is over")
    hurt.wait_for_end(seconds=PATIENCE_S)
    ledger = hurt.ledger()
    ledger.check()
    mine = [owed for owed in ledger.owed if owed.endpoint == "chores"]
    assert [(owed.status, len(owed.posts)) for owed in mine] == [("delivered", 2)] * 6


@pytest.mark.slow
def test_everything_is_killed_at_once_and_started_again(hurt: Provider) -> None:
    here = add(hurt, "outage")
    hurt.recorder.behave("/outage/", delay_s=0.5)
    hurt.publish(here.merchant, 200)
    wait_until(lambda: hurt.recorder.count("/outage/") > 10, seconds=PATIENCE_S, what="requests are in the air")
    hurt.stack.kill_everything()
    hurt.stack.start()
    hurt.wait_for_end(seconds=LEASE_S + PATIENCE_S)
    ledger = hurt.ledger()
    ledger.check()
    assert interrupted(owed for owed in ledger.owed if owed.endpoint == "outage")
