"""A stream of events, replays and changes while the platform is hurt every two seconds; then the books must balance.

`python -m tests.acceptance.soak --minutes 10 --seed 1` ends with an exit code of 1, and the seed, when they do not.
"""

import argparse
import random
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from tests.acceptance.chaos import EVERY_S, Chaos
from tests.acceptance.provider import Place, Provider
from tests.acceptance.recorder import Recorder
from tests.acceptance.stack import running_stack

SCHEDULE = "2,4,8,8,8,8,8,8,8"
# Nine waits as by default, short enough to be used up within the time.
SINGLES_EVERY_S = 0.1
BATCH_EVERY_S = 2.0
BATCH = 100
CHANGE_EVERY_S = 1.0
TELL_EVERY_S = 10.0
DRAIN_S = 240.0
# A lease, a restart that waits, and the backlog of endpoints that were held back.
MANNERS: dict[str, dict[str, object]] = {
    "quick": {},
    "steady": {"delay_s": 0.3},
    "flaky": {"failing": 0.3, "delay_s": 0.05},
    "failing": {"status": 500},
    "busy": {"status": 503, "headers": "Retry-After: 3\r\n"},
    "hanging": {"delay_s": 30.0},
}
MERCHANTS = 5


@dataclass(slots=True)
class Soak:
    """The world of one run, and the threads that act in it."""

    provider: Provider
    chaos: Chaos
    seed: int
    say: Callable[[str], None]
    merchants: list[str] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def build(self) -> None:
        for number in range(MERCHANTS):
            merchant = self.provider.add_merchant(f"merchant-{number}")
            self.merchants.append(merchant)
            for manner, how in MANNERS.items():
                name = f"{manner}-{number}"
                self.provider.recorder.behave(f"/{name}/", **how)
                fields = {"ordered": True} if manner == "steady" and number % 2 else {}
                self.places.append(self.provider.add_endpoint(merchant, name, **fields))

    def run(self, seconds: float) -> None:
        """Act and hurt for so long, then let everything come to its end."""
        acts = [self._publish_singles, self._publish_batches, self._change]
        threads = [threading.Thread(target=self._guarded, args=(act,)) for act in acts]
        for thread in threads:
            thread.start()
        try:
            self._hurt(seconds)
        finally:
            self.stopping.set()
            for thread in threads:
                thread.join()

    def _hurt(self, seconds: float) -> None:
        began = told = time.monotonic()
        while time.monotonic() - began < seconds and not self.troubles:
            harm = self.chaos.strike()
            time.sleep(EVERY_S)
            if time.monotonic() - told > TELL_EVERY_S:
                told = time.monotonic()
                self._tell(told - began, harm)

    def settle(self) -> None:
        """All receivers are well again; whoever was held back is probed now, not after ten minutes."""
        self.provider.recorder.behave("/")
        for place in self.places:
            self.provider.recorder.behave(f"/{place.name}/")
            self.provider.insist(
                "PATCH", f"{place.route}?merchant={place.merchant}", {"description": "well again"}, ok=(200, 404)
            )
        self.provider.wait_for_end(seconds=DRAIN_S)

    def _tell(self, seconds: float, harm: str) -> None:
        try:
            rows = self.provider.stack.sql("SELECT status, count(*) FROM deliveries_delivery GROUP BY status")
            statuses = str(dict(rows))
        except psycopg.OperationalError as trouble:
            statuses = f"Postgres does not answer: {trouble}"
        self.say(f"{seconds:5.0f} s  {len(self.provider.accepted)} events  {statuses}  last: {harm}")

    def _guarded(self, act: Callable[[random.Random], None]) -> None:
        try:
            act(random.Random(f"{self.seed} {act.__name__}"))
        except Exception as trouble:  # noqa: BLE001 - whatever it is, the run has failed and says so
            self.troubles.append(f"{act.__name__}: {trouble!r}")

    def _publish_singles(self, chance: random.Random) -> None:
        while not self.stopping.wait(SINGLES_EVERY_S):
            self.provider.publish_one(chance.choice(self.merchants))

    def _publish_batches(self, chance: random.Random) -> None:
        while not self.stopping.wait(BATCH_EVERY_S):
            self.provider.publish(chance.choice(self.merchants), BATCH)

    def _change(self, chance: random.Random) -> None:
        changes = [self._resend, self._replay, self._pause, self._move, self._rotate, self._renew]
        while not self.stopping.wait(CHANGE_EVERY_S):
            chance.choices(changes, [6, 3, 2, 2, 2, 1])[0](chance)

    def _resend(self, chance: random.Random) -> None:
        if self.provider.accepted:
            self.provider.resend(chance.choice(self.places), chance.choice(list(self.provider.accepted)))

    def _replay(self, chance: random.Random) -> None:
        self.provider.replay(chance.choice(self.places), chance.choice(["recover", "release", "replay-missing"]))

    def _pause(self, chance: random.Random) -> None:
        place = chance.choice(self.places)
        self.provider.disable(place)
        self.stopping.wait(chance.uniform(0, 3))
        self.provider.enable(place)
        self.provider.replay(place, "release")

    def _move(self, chance: random.Random) -> None:
        self.provider.move(chance.choice(self.places))

    def _rotate(self, chance: random.Random) -> None:
        self.provider.rotate(chance.choice(self.places))

    def _renew(self, chance: random.Random) -> None:
        """One endpoint goes, another comes."""
        place = chance.choice(self.places)
        self.places.remove(place)
        self.provider.delete(place)
        name = f"new-{len(self.provider.quiet)}-{place.merchant}"
        self.places.append(self.provider.add_endpoint(place.merchant, name))


def soak(directory: Path, *, seconds: float, seed: int, say: Callable[[str], None]) -> list[str]:
    """Everything that was wrong at the end of one run."""
    with running_stack(directory, RETRY_SCHEDULE=SCHEDULE, DELIVERY_TIMEOUT="3") as stack, Recorder(directory) as seen:
        provider = Provider(stack, seen)
        world = Soak(provider, Chaos(stack, seed), seed, say)
        world.build()
        world.run(seconds)
        say(f"done to it: {dict(world.chaos.done)}")
        say(f"answers: {dict(provider.answers)}")
        troubles = list(world.troubles)
        try:
            world.settle()
        except AssertionError as trouble:
            troubles.append(str(trouble))
        ledger = provider.ledger()
        for what, number in ledger.summary().items():
            say(f"{what}: {number}")
        leaks = [line for line in stack.lines if "the-payload-of" in line or "whsec_" in line]
        troubles += [*ledger.violations(), *(f"I11 told in a log: {line[:80]}" for line in leaks)]
        troubles += [f"answered {status}" for status in provider.answers if " 5" in status and " 503" not in status]
        if troubles:
            (directory / "serve.log").write_text("\n".join(stack.lines))
        return troubles


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--keep", action="store_true", help="leave the ledger and the log of the run where they are")
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="signet-soak-"))
    _say(f"seed {options.seed}, {options.minutes:g} minutes")
    try:
        troubles = soak(directory, seconds=options.minutes * 60, seed=options.seed, say=_say)
    finally:
        if not options.keep:
            shutil.rmtree(directory, ignore_errors=True)
    for trouble in troubles[:50]:
        _say(f"VIOLATION {trouble}")
    _say(f"{len(troubles)} violations with seed {options.seed}" if troubles else "the ledger balances")
    sys.exit(bool(troubles))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
