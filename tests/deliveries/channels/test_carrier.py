"""The threads that carry letters: bounded, never waited for beyond the deadline, and in nobody's way."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings as django_settings

from deliveries.channels.carrier import Carrier
from deliveries.engine import process
from deliveries.models import Attempt, Delivery, Lane
from deliveries.services import publish
from dispatcher.http.door import Finished
from dispatcher.outcomes import Outcome, Reason
from subscriptions.models import Endpoint, Merchant
from tests.deliveries.channels.conftest import Make, make_due, use
from tests.deliveries.conftest import NOW
from tests.receivers.mail import HANG, MailServer
from tests.receivers.receiver import Receiver, Script
from tests.receivers.scripts import keep_alive

TAKEN = Outcome(Reason.DELIVERED)


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Until it opens, threads that wait for it hang."""
    made = threading.Event()
    yield made
    made.set()


@pytest.fixture
def make_carrier() -> Iterator[Callable[..., Carrier]]:
    made: list[Carrier] = []

    def make(**options: Any) -> Carrier:
        made.append(Carrier(**{"deadline_s": 5.0, "threads": 2} | options))
        return made[-1]

    yield make
    for carrier in made:
        carrier.close()


def hang(gate: threading.Event) -> Callable[[], Outcome]:
    def carry() -> Outcome:
        gate.wait(30)
        return TAKEN

    return carry


def all_of(carrier: Carrier, count: int) -> list[Finished]:
    found: list[Finished] = []
    until = time.monotonic() + 5
    while len(found) < count and time.monotonic() < until:
        found += carrier.poll(0.5)
    return found


class TestCarrier:
    def test_what_was_submitted_comes_back_by_its_key(self, make_carrier: Callable[..., Carrier]) -> None:
        carrier = make_carrier()
        for key in range(10):
            carrier.submit(key, lambda: TAKEN)
        assert carrier.in_flight == 10
        found = all_of(carrier, 10)
        assert sorted(item.key for item in found) == list(range(10))  # type: ignore[type-var]
        assert all(item.outcome.received and item.outcome.phases.total > 0 for item in found)
        assert (carrier.in_flight, carrier.free) == (0, 2)

    def test_no_more_threads_than_allowed(self, make_carrier: Callable[..., Carrier], gate: threading.Event) -> None:
        threads: set[threading.Thread] = set()

        def carry() -> Outcome:
            threads.add(threading.current_thread())
            gate.wait(30)
            return TAKEN

        carrier = make_carrier(threads=3)
        for key in range(20):
            carrier.submit(key, carry)
        assert carrier.free == 0
        gate.set()
        assert len(all_of(carrier, 20)) == 20
        assert len(threads) <= 3
        assert {thread.name for thread in threads} == {"letter-carrier"}

    def test_an_idle_one_waits_without_spinning(
        self, make_carrier: Callable[..., Carrier], gate: threading.Event
    ) -> None:
        carrier = make_carrier()
        carrier.submit("a", hang(gate))
        began, cpu = time.monotonic(), time.thread_time()
        assert carrier.poll(0.3) == []
        assert time.monotonic() - began >= 0.29
        assert time.thread_time() - cpu < 0.05

    def test_the_deadline_ends_what_hangs(self, make_carrier: Callable[..., Carrier], gate: threading.Event) -> None:
        carrier = make_carrier(deadline_s=0.2)
        began = time.monotonic()
        carrier.submit("a", hang(gate))
        [finished] = all_of(carrier, 1)
        assert 0.2 <= time.monotonic() - began < 0.5
        assert (finished.key, finished.outcome.reason) == ("a", Reason.RESPONSE_TIMEOUT)
        assert (carrier.in_flight, carrier.free) == (0, 1)

    def test_what_comes_late_is_dropped_and_frees_its_thread(
        self, make_carrier: Callable[..., Carrier], gate: threading.Event
    ) -> None:
        carrier = make_carrier(deadline_s=0.1, threads=1)
        carrier.submit("a", hang(gate))
        assert len(all_of(carrier, 1)) == 1
        assert carrier.free == 0
        gate.set()
        until = time.monotonic() + 5
        while not carrier.free and time.monotonic() < until:
            time.sleep(0.01)
        assert (carrier.free, carrier.poll(0.0)) == (1, [])
        carrier.submit("b", lambda: TAKEN)
        assert [item.key for item in all_of(carrier, 1)] == ["b"]

    def test_what_a_back_end_raises_is_ours(
        self, make_carrier: Callable[..., Carrier], caplog: pytest.LogCaptureFixture
    ) -> None:
        def explode() -> Outcome:
            raise RuntimeError("boom")

        carrier = make_carrier(threads=1)
        carrier.submit("a", explode)
        carrier.submit("b", lambda: TAKEN)
        reasons = {item.key: item.outcome.reason for item in all_of(carrier, 2)}
        assert reasons == {"a": Reason.INTERNAL_ERROR, "b": Reason.DELIVERED}
        assert "could not be carried" in caplog.text

    def test_threads_end_with_their_carrier(self, make_carrier: Callable[..., Carrier]) -> None:
        threads: list[threading.Thread] = []

        def carry() -> Outcome:
            threads.append(threading.current_thread())
            return TAKEN

        carrier = make_carrier()
        carrier.submit("a", carry)
        all_of(carrier, 1)
        carrier.close()
        threads[0].join(5)
        assert not threads[0].is_alive()

    def test_hanging_threads_do_not_keep_the_process(self) -> None:
        code = (
            "import time\n"
            "from deliveries.channels.carrier import Carrier\n"
            "carrier = Carrier(deadline_s=0.1)\n"
            "carrier.submit(1, lambda: time.sleep(60))\n"
            "print(carrier.poll(1)[0].outcome.reason)\n"
        )
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=django_settings.BASE_DIR,
            capture_output=True,
            check=False,
            text=True,
            timeout=30,
        )
        assert (done.stdout, done.returncode) == ("response_timeout\n", 0), done.stderr
        assert time.monotonic() - began < 20


@pytest.mark.django_db(transaction=True)
class TestDrain:
    def test_a_flood_waits_in_its_lanes(
        self, mail: MailServer, alice: Merchant, make_endpoint: Make, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Never more in the air than the carrier has threads, whatever is due in however many lanes."""
        monkeypatch.setattr("deliveries.channels.carrier.Carrier.__init__.__kwdefaults__", {"threads": 3})
        most: list[int] = []
        honest = Carrier.submit

        def counting(self: Carrier, *args: Any) -> None:
            assert self.free > 0
            honest(self, *args)
            most.append(self.in_flight)

        monkeypatch.setattr(Carrier, "submit", counting)
        for number in range(8):
            make_endpoint(alice, channel="email", target=f"mailto:r{number}@shop.example", verified_at=NOW)
        for _ in range(5):
            publish("invoice.paid", b"{}", merchant="alice")
        assert process.drain() == 40
        assert len(mail.taken) == 40
        assert {delivery.status for delivery in Delivery.objects.all()} == {"delivered"}
        assert max(most) == 3
        assert not Lane.objects.exclude(due_at=None).exists()

    def test_webhooks_do_not_wait_for_letters_that_hang(
        self,
        mail: MailServer,
        alice: Merchant,
        reader: Endpoint,
        make_endpoint: Make,
        settings: Any,
        receive: Callable[[Script], Receiver],
    ) -> None:
        mail.answers["RCPT"] = HANG
        settings.DELIVERY_TIMEOUT = 1.5
        receiver = receive(keep_alive())
        make_endpoint(alice, target=receiver.url("/in"))
        began = time.monotonic()
        for _ in range(3):
            publish("invoice.paid", b"{}", merchant="alice")
        process.drain()
        assert max(request.at for request in receiver.requests) - began < 0.5
        assert len(receiver.requests) == 3
        reasons = sorted(attempt.reason for attempt in Attempt.objects.all())
        assert reasons == ["delivered"] * 3 + ["response_timeout"] * 3

    def test_a_drain_ends_though_every_thread_hangs(
        self, alice: Merchant, phone: Endpoint, settings: Any, monkeypatch: pytest.MonkeyPatch, gate: threading.Event
    ) -> None:
        """What is due then waits for a later drain: this one neither spins nor stays."""
        monkeypatch.setattr("deliveries.channels.carrier.Carrier.__init__.__kwdefaults__", {"threads": 1})
        monkeypatch.setattr("deliveries.channels.sms.ConsoleBackend.send", lambda *_, **__: hang(gate)())
        settings.SMS_BACKEND, settings.DELIVERY_TIMEOUT = "console", 0.3
        for _ in range(3):
            publish("invoice.paid", b"{}", merchant="alice")
        assert process.drain() == 1
        assert [attempt.reason for attempt in Attempt.objects.all()] == ["response_timeout"]
        began = time.monotonic()
        assert process.drain() == 0
        assert time.monotonic() - began < 0.5
        assert Delivery.objects.filter(status="pending").count() == 3
        gate.set()
        time.sleep(0.2)
        make_due()
        sent = 0
        until = time.monotonic() + 5
        while sent < 3 and time.monotonic() < until:
            sent += process.drain()
        assert {delivery.status for delivery in Delivery.objects.all()} == {"delivered"}

    def test_a_drain_that_only_waits_for_letters_rests(self, mail: MailServer, reader: Endpoint, settings: Any) -> None:
        mail.answers["RCPT"] = HANG
        use(mail, settings, DELIVERY_TIMEOUT=1.0)
        publish("invoice.paid", b"{}", merchant="alice")
        cpu = time.thread_time()
        process.drain()
        assert time.thread_time() - cpu < 0.4
        assert Attempt.objects.get().reason == "response_timeout"
