"""The wall clock of one host is off by minutes: nothing waits for it, and every signature is of the right time."""

from pathlib import Path

import pytest

from tests.acceptance.conftest import Start
from tests.acceptance.stack import wait_until

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

TEN_MINUTES_S = 600
# Twice what receivers tolerate in a timestamp.
SKEW = Path(__file__).with_name("skew")


@pytest.mark.parametrize("part", ["web", "drain", "tasks", "beat"])
@pytest.mark.parametrize("seconds", [TEN_MINUTES_S, -TEN_MINUTES_S])
def test_a_clock_that_is_wrong_delays_nothing(start_own: Start, part: str, seconds: int) -> None:
    hurt = start_own(PYTHONPATH=str(SKEW), SIGNET_SKEW=f"{part} {seconds}", RETRY_SCHEDULE="1,1,1,1")
    here = hurt.add_endpoint(hurt.add_merchant("m"), "skewed")
    sleeper = hurt.add_endpoint("m", "sleeper", retry_schedule=[])
    hurt.recorder.behave("/skewed/", status=500)
    hurt.recorder.behave("/sleeper/", status=500)
    events = hurt.publish("m", 3)
    wait_until(lambda: hurt.recorder.count("/skewed/") >= 6, seconds=30, what="retries come without a publish")
    hurt.recorder.behave("/skewed/")
    hurt.recorder.behave("/sleeper/")
    hurt.wait_for_end(seconds=30)
    # One who lost its doorbell is found by the sweep.
    hurt.stack.arm("wake.committed")
    events += hurt.publish("m", 1)
    hurt.wait_for_end(seconds=30)
    hurt.replay(sleeper, "recover")
    wait_until(
        lambda: (
            {post.event_id for post in hurt.recorder.posts() if post.is_acknowledged and post.endpoint == "sleeper"}
            == set(events)
        ),
        seconds=30,
        what="the replay is through",
    )
    hurt.wait_for_end(seconds=30)
    hurt.rotate(here)
    hurt.publish("m", 1)
    hurt.wait_for_end(seconds=30)
    deltas = "SELECT 1 FROM deliveries_countdelta"
    wait_until(lambda: not hurt.stack.sql(deltas), seconds=30, what="counts are added up")
    hurt.ledger(is_faultless=True).check()
