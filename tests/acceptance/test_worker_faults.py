"""Workers that freeze, schedules that come twice or not at all, storms, and receivers that were away for long."""

import http.client
import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

import pytest

from tests.acceptance.conftest import Start
from tests.acceptance.ledger import in_the_air, interrupted
from tests.acceptance.provider import EVENT_TYPE, Provider
from tests.acceptance.stack import ROOT, kill, wait_until

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

LEASE_S = 30
PATIENCE_S = 90.0
CALLERS = 400
# About twice what two web processes take in: the rest is sent away.
STORM_S = 8.0


@pytest.fixture(scope="module")
def hurt(start: Start) -> Provider:
    return start(RETRY_SCHEDULE="1,1,1,1")


def test_a_worker_frozen_past_its_lease_and_woken_overwrites_nothing(hurt: Provider) -> None:
    places = [hurt.add_endpoint(hurt.add_merchant(f"frozen-{n}"), f"frozen-{n}") for n in range(6)]
    for place in places:
        hurt.recorder.behave(f"/{place.name}/", delay_s=0.3, failing=0.2)
        hurt.publish(place.merchant, 60)
    wait_until(lambda: hurt.recorder.count("/frozen-") > 20, seconds=PATIENCE_S, what="requests are in the air")
    frozen, *others = hurt.stack.pool_pids("drain")
    assert others
    kill(frozen, signal.SIGSTOP)
    try:
        # The others take up what it held.
        hurt.wait_for_end(seconds=LEASE_S + PATIENCE_S)
    finally:
        kill(frozen, signal.SIGCONT)
    for place in places:
        hurt.publish(place.merchant, 20)
    hurt.wait_for_end(seconds=LEASE_S + PATIENCE_S)
    hurt.ledger().check()


def test_all_workers_freeze_past_their_leases_with_requests_in_the_air(hurt: Provider) -> None:
    """On waking each finds lanes that were its own, free again, and answers to questions that nobody asks any more."""
    places = [hurt.add_endpoint(hurt.add_merchant(f"asleep-{n}"), f"asleep-{n}") for n in range(4)]
    for place in places:
        hurt.recorder.behave(f"/{place.name}/", delay_s=0.5, failing=0.2)
        hurt.publish(place.merchant, 60)
    wait_until(lambda: hurt.recorder.count("/asleep-") > 20, seconds=PATIENCE_S, what="requests are in the air")
    pids = hurt.stack.pool_pids("drain")
    for pid in pids:
        kill(pid, signal.SIGSTOP)
    time.sleep(LEASE_S + 3)
    for pid in pids:
        kill(pid, signal.SIGCONT)
        time.sleep(0.5)
    hurt.wait_for_end(seconds=LEASE_S + PATIENCE_S)
    hurt.ledger().check()


def test_two_beats_and_none(hurt: Provider) -> None:
    place = hurt.add_endpoint(hurt.add_merchant("beats"), "beats")
    hurt.recorder.behave("/beats/", failing=0.5)
    command = [sys.executable, "-m", "celery", "--quiet", "--app", "config", "beat"]
    options = ["--scheduler", "celery.beat:Scheduler", "--pidfile=", "--loglevel", "ERROR"]
    second = subprocess.Popen([*command, *options], cwd=ROOT, env=hurt.stack.environment)
    try:
        before = interrupted(hurt.ledger().owed)
        for _ in range(10):
            hurt.publish(place.merchant, 10)
            time.sleep(0.5)
        hurt.wait_for_end(seconds=PATIENCE_S)
    finally:
        second.kill()
        second.wait()
    ledger = hurt.ledger()
    ledger.check()
    assert interrupted(ledger.owed) == before
    # None: what is published leaves at once all the same, and retries leave when beat is back.
    beat = hurt.stack.node_pid("beat")
    kill(beat, signal.SIGSTOP)
    try:
        time.sleep(15)
        hurt.recorder.behave("/beats/")
        count = hurt.recorder.count("/beats/")
        hurt.publish(place.merchant, 5)
        wait_until(lambda: hurt.recorder.count("/beats/") >= count + 5, seconds=5, what="the bell is enough")
        hurt.recorder.behave("/beats/", status=500)
        hurt.publish(place.merchant, 3)
        time.sleep(10)
        hurt.recorder.behave("/beats/")
    finally:
        kill(beat, signal.SIGCONT)
    hurt.wait_for_end(seconds=30)
    hurt.ledger().check()


def test_a_storm_of_publishers_is_sent_away_or_taken_in_and_never_lost(hurt: Provider) -> None:
    hurt.add_endpoint(hurt.add_merchant("storm"), "storm")
    counts: Counter[int] = Counter()
    lock = threading.Lock()
    until = time.monotonic() + STORM_S
    body = json.dumps({"type": EVENT_TYPE, "merchant": "storm", "payload": {"text": "the-payload-of-4711"}})
    headers = {"Authorization": f"Bearer {hurt.stack.key}", "Content-Type": "application/json"}

    def publish() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", hurt.stack.port, timeout=60)
        while time.monotonic() < until:
            connection.request("POST", "/api/v2/events", body, headers)
            answer = connection.getresponse()
            text = answer.read()
            with lock:
                counts[answer.status] += 1
                if answer.status == 202:
                    hurt.accepted[json.loads(text)["id"]] = ""
            if answer.status == 503:
                assert int(answer.headers["Retry-After"]) >= 1
                time.sleep(0.05)
        connection.close()

    callers = [threading.Thread(target=publish) for _ in range(CALLERS)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert set(counts) == {202, 503}
    hurt.wait_for_end(seconds=PATIENCE_S)
    ledger = hurt.ledger()
    ledger.check()
    assert hurt.recorder.count("/storm/") == counts[202]


def test_a_receiver_that_comes_back_after_an_outage_is_not_run_over(start_own: Start) -> None:
    """Its breaker holds the backlog back, one probe finds it well, and from there on the window grows."""
    hurt = start_own(RETRY_SCHEDULE="2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2")
    place = hurt.add_endpoint(hurt.add_merchant("back"), "back", max_in_flight=10)
    hurt.recorder.behave("/back/", delay_s=0.1)
    hurt.recorder.listen(is_listening=False)
    hurt.publish(place.merchant, 400)
    opened = "SELECT 1 FROM deliveries_lane WHERE open_until > clock_timestamp()"
    wait_until(lambda: bool(hurt.stack.sql(opened)), seconds=PATIENCE_S, what="the breaker opens")
    hurt.recorder.listen(is_listening=True)
    hurt.wait_for_end(seconds=PATIENCE_S)
    ledger = hurt.ledger(is_faultless=True)
    ledger.check()
    assert {owed.status for owed in ledger.owed} == {"delivered"}
    posts = sorted(ledger.posts, key=lambda post: post.at)
    assert in_the_air(posts) <= 10
    # One, then the window's growth: in the time of the first answer nothing else came.
    assert len([post for post in posts if post.at < posts[0].at + 0.09]) == 1
    # Being held back used up no attempt.
    assert max(owed.attempts_made for owed in ledger.owed) < 10
