"""The receiver's ledger joined with Postgres: whether the invariants of delivery held, whatever was done meanwhile."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise

from dispatcher.ids import Prefix, show
from dispatcher.retry import DEFAULT_SCHEDULE, JITTER
from tests.acceptance.recorder import Post, Recorder
from tests.acceptance.stack import Stack

FINAL = frozenset({"delivered", "failed", "cancelled"})
GAP_SLACK_S = 0.1
# Of one clock, read at two moments of one attempt.
IN_TIME = 0.8
# Share of the deadline of an attempt. Whoever answers later may find that its caller has given up.
CLOSED_SLACK_S = 5.0
# After which nothing may reach an endpoint that was disabled, deleted or moved.
BEGUN_SLACK_S = 10
# Seconds between the time that a request stamps and its commit, in a platform that is being hurt.
MOST_TOLD = 20

DELIVERIES = """
SELECT d.id, v.id, v.external_id, split_part(p.target, '/', 4), d.status, d.attempts_made, p.retry_schedule
FROM deliveries_delivery d JOIN deliveries_event v ON v.id = d.event_id
JOIN subscriptions_endpoint p ON p.id = d.endpoint_id
"""
TRIES = """
SELECT delivery_id, number, trigger, is_counted, reason, leaves, started_at, total_ms FROM deliveries_attempt
ORDER BY delivery_id, number
"""
EVENTS = "SELECT id, external_id FROM deliveries_event WHERE NOT is_test"
NEVER_OWED = """
SELECT count(*) FROM deliveries_event v JOIN subscriptions_endpoint p ON p.owner_id = v.merchant_id
LEFT JOIN deliveries_delivery d ON d.event_id = v.id AND d.endpoint_id = p.id
WHERE d.id IS NULL AND NOT v.is_test AND p.created_at < v.created_at - %s * interval '1 second'
AND (p.deleted_at IS NULL OR p.deleted_at > v.created_at + %s * interval '1 second')
"""
AT_REST = {
    "pending deliveries without an entry in a lane": """
        SELECT count(*) FROM deliveries_delivery d LEFT JOIN deliveries_laneentry e ON e.delivery_id = d.id
        WHERE d.status = 'pending' AND e.delivery_id IS NULL""",
    "entries in lanes of deliveries that are not pending": """
        SELECT count(*) FROM deliveries_laneentry e LEFT JOIN deliveries_delivery d ON e.delivery_id = d.id
        WHERE d.status IS DISTINCT FROM 'pending'""",
    "deliveries of events that are not there": """
        SELECT count(*) FROM deliveries_delivery d LEFT JOIN deliveries_event v ON v.id = d.event_id
        WHERE v.id IS NULL""",
    "attempts of deliveries that are not there": """
        SELECT count(*) FROM deliveries_attempt a LEFT JOIN deliveries_delivery d ON d.id = a.delivery_id
        WHERE d.id IS NULL""",
}


@dataclass(frozen=True, slots=True)
class Try:
    """An attempt's row. Times are seconds of the epoch."""

    number: int
    trigger: str
    is_counted: bool
    reason: str
    leaves: str
    started_at: float
    ended_at: float

    @property
    def is_interrupted(self) -> bool:
        return self.reason == "interrupted"


@dataclass(slots=True)
class Owed:
    """A delivery with its tries."""

    event_id: str
    endpoint: str
    status: str
    attempts_made: int
    schedule: tuple[int, ...]
    tries: list[Try] = field(default_factory=list)
    posts: list[Post] = field(default_factory=list)
    answer_s: float = 0.0

    def was_told(self, post: Post) -> bool:
        """Whether the acknowledgement must have reached a sender that lived."""
        return post.is_acknowledged and post.ended_at is not None and post.ended_at - post.at < self.answer_s

    @property
    def is_replayed(self) -> bool:
        return any(one.trigger == "replay" for one in self.tries)

    def __str__(self) -> str:
        told = " ".join(f"{one.number}:{one.trigger}/{one.reason}/{one.leaves}" for one in self.tries)
        return f"{self.event_id} to {self.endpoint} ({self.status}) [{told}]"


@dataclass(frozen=True, slots=True)
class Quiet:
    """Nothing may come to paths that begin with `prefix` in this time."""

    prefix: str
    since: float
    until: float | None = None


class Ledger:
    """Everything that is known of one run, from both ends.

    `accepted` are the ids that a publisher was told with a 2xx; None where the test does not keep count.
    """

    def __init__(
        self,
        stack: Stack,
        recorder: Recorder,
        *,
        accepted: Collection[str] | None = None,
        quiet: Sequence[Quiet] = (),
        is_faultless: bool = False,
    ) -> None:
        self._stack, self._quiet, self._accepted, self._is_faultless = stack, quiet, accepted, is_faultless
        text = stack.environment.get("RETRY_SCHEDULE", "")
        default = tuple(int(part) for part in text.split(",")) if text else DEFAULT_SCHEDULE
        answer_s = float(stack.environment.get("DELIVERY_TIMEOUT", "10")) * IN_TIME
        by_id = {
            delivery_id: Owed(
                external or show(Prefix.EVENT, event_id),
                endpoint,
                status,
                made,
                default if schedule is None else tuple(schedule),
                answer_s=answer_s,
            )
            for delivery_id, event_id, external, endpoint, status, made, schedule in stack.sql(DELIVERIES)
        }
        for delivery_id, number, trigger, is_counted, reason, leaves, started, total_ms in stack.sql(TRIES):
            if delivery_id in by_id:
                ended = _epoch(started) + total_ms / 1000
                one = Try(number, trigger, is_counted, reason, leaves, _epoch(started), ended)
                by_id[delivery_id].tries.append(one)
        self.owed = list(by_id.values())
        self.posts = recorder.posts()
        by_place = {(one.event_id, one.endpoint): one for one in self.owed}
        self._strays = [post for post in self.posts if (post.event_id, post.endpoint) not in by_place]
        for post in self.posts:
            if owed := by_place.get((post.event_id, post.endpoint)):
                owed.posts.append(post)

    def check(self) -> None:
        """Raises AssertionError with what is wrong."""
        found = list(self.violations())
        assert not found, f"{len(found)} violations:\n" + "\n".join(found[:MOST_TOLD])

    def violations(self) -> Iterator[str]:
        yield from self._accepted_reached()
        yield from self._at_rest()
        yield from self._posts_known()
        yield from self._closed_left_alone()
        yield from self._recounted()
        for owed in self.owed:
            for rule in (_settled, _numbered, _told_as_it_was, _the_same, _counted, _spaced, _one_at_a_time, _once):
                yield from (f"{trouble}: {owed}" for trouble in rule(owed))
            if self._is_faultless and any(one.is_interrupted for one in owed.tries):
                yield f"I7 interrupted without a fault: {owed}"

    def summary(self) -> dict[str, object]:
        tries = [one for owed in self.owed for one in owed.tries]
        acknowledged = Counter((post.event_id, post.endpoint) for post in self.posts if post.is_acknowledged)
        return {
            "events accepted": len(self._accepted) if self._accepted is not None else len(self._events()),
            "deliveries": dict(Counter(owed.status for owed in self.owed)),
            "attempts": len(tries),
            "attempts interrupted": sum(one.is_interrupted for one in tries),
            "POSTs seen": len(self.posts),
            "POSTs of what was acknowledged before": sum(acknowledged.values()) - len(acknowledged),
            "deliveries replayed": sum(owed.is_replayed for owed in self.owed),
        }

    def _events(self) -> set[str]:
        return {external or show(Prefix.EVENT, event_id) for event_id, external in self._stack.sql(EVENTS)}

    def _accepted_reached(self) -> Iterator[str]:
        """I1, I2: what was answered 2xx is there, for every endpoint that matched, and nothing else is."""
        if self._accepted is not None:
            events, accepted = self._events(), set(self._accepted)
            yield from (f"I1 accepted, and lost: {event_id}" for event_id in accepted - events)
            yield from (f"I2 stored, and never accepted: {event_id}" for event_id in events - accepted)
            [(never,)] = self._stack.sql(NEVER_OWED, BEGUN_SLACK_S, BEGUN_SLACK_S)
            if never:
                yield f"I1 {never} deliveries to endpoints that matched were never made"

    def _at_rest(self) -> Iterator[str]:
        for what, query in AT_REST.items():
            [(count,)] = self._stack.sql(query)
            if count:
                yield f"{count} {what}"

    def _posts_known(self) -> Iterator[str]:
        """I5: every POST has its attempt, and every attempt had one POST at most."""
        yield from (f"I5 POST of what nobody owes: {post}" for post in self._strays)

    def _closed_left_alone(self) -> Iterator[str]:
        for quiet in self._quiet:
            for post in self.posts:
                is_within = quiet.until is None or post.at < quiet.until
                if post.path.startswith(quiet.prefix) and post.at > quiet.since + CLOSED_SLACK_S and is_within:
                    yield f"I10 sent {post.at - quiet.since:.1f} s after it was closed: {post}"

    def _recounted(self) -> Iterator[str]:
        done = self._stack.try_manage("recount")
        if done.returncode:
            yield f"I12 the statistics differ: {done.stdout[-1500:]}{done.stderr[-500:]}"


def _settled(owed: Owed) -> Iterator[str]:
    """I1: final, or visibly held."""
    if owed.status not in FINAL | {"held"}:
        yield "I1 not final"


def _numbered(owed: Owed) -> Iterator[str]:
    """I5: attempts are numbered without a hole, and each POST is one of them."""
    if [one.number for one in owed.tries] != list(range(1, owed.attempts_made + 1)):
        yield f"I5 {owed.attempts_made} attempts made, and other rows"
    if len({post.number for post in owed.posts}) != len(owed.posts):
        yield "I5 two POSTs of one attempt"
    if not {post.number for post in owed.posts} <= {one.number for one in owed.tries}:
        yield "I5 POST without its attempt"


def _told_as_it_was(owed: Owed) -> Iterator[str]:
    """I6: delivered exactly when the receiver acknowledged; a final state changes only by a replay."""
    posts = {post.number: post for post in owed.posts}
    for one in owed.tries:
        post = posts.get(one.number)
        if one.reason == "delivered" and not (post and post.is_acknowledged):
            yield f"I6 attempt {one.number} says delivered, the receiver does not"
        if post and owed.was_told(post) and one.reason not in {"delivered", "interrupted"}:
            yield f"I6 attempt {one.number} was acknowledged"
    for one, following in pairwise(owed.tries):
        if one.leaves in {"delivered", "failed"} and following.trigger != "replay":
            yield f"I6 attempt {following.number} after the end, without a replay"
    if owed.status in {"delivered", "failed"} and (not owed.tries or owed.tries[-1].leaves != owed.status):
        yield "I6 its state is not what its last attempt left"


def _the_same(owed: Owed) -> Iterator[str]:
    """I3: one body, and signatures that verified when they came."""
    if len({post.body for post in owed.posts}) > 1:
        yield "I3 bodies differ"
    for post in owed.posts:
        if post.verdict not in {"good", "unknown"}:
            yield f"I3 the signature of attempt {post.number} was {post.verdict}"


def _counted(owed: Owed) -> Iterator[str]:
    """I4: no more counted attempts than the schedule has, and failed only when it is used up."""
    count = 0
    for one in owed.tries:
        # What is held and released leaves no row behind, so any replay may have begun the schedule anew.
        count = (0 if one.trigger == "replay" else count) + one.is_counted
        if count > len(owed.schedule) + 1:
            yield f"I4 attempt {one.number} is one too many"
        is_given_up = one.leaves == "failed" and one.reason != "http_gone" and not owed.is_replayed
        if is_given_up and count <= len(owed.schedule):
            yield f"I4 failed after {count} counted attempts"


def _spaced(owed: Owed) -> Iterator[str]:
    """I4: waits are as long as the schedule says, less the jitter."""
    count = 0
    for one, following in pairwise(owed.tries):
        count += one.is_counted
        if not one.is_counted or following.trigger != "retry" or one.leaves != "pending":
            continue
        wait = min(owed.schedule) if owed.is_replayed else owed.schedule[min(count, len(owed.schedule)) - 1]
        gap = following.started_at - one.ended_at
        if gap < wait * (1 - JITTER) - GAP_SLACK_S:
            yield f"I4 only {gap:.2f} s before attempt {following.number}, not {wait}"


def _one_at_a_time(owed: Owed) -> Iterator[str]:
    """I7: no two attempts at once, but where a worker died or lost its lease."""
    tries = [one for one in owed.tries if not one.is_interrupted]
    for one, following in pairwise(tries):
        if following.started_at < one.ended_at - GAP_SLACK_S:
            yield f"I7 attempt {following.number} began before {one.number} had ended"
    lost = {one.number for one in owed.tries if one.is_interrupted}
    for post, after in pairwise(sorted(owed.posts, key=lambda post: post.at)):
        if post.number not in lost and after.number not in lost and after.at < (post.ended_at or post.at):
            yield f"I7 the receiver had attempts {post.number} and {after.number} at once"


def _once(owed: Owed) -> Iterator[str]:
    """I7: nothing comes again that was acknowledged, but where the answer was lost with its worker."""
    by_number = {one.number: one for one in owed.tries}
    acknowledged = False
    for post in sorted(owed.posts, key=lambda post: post.number):
        one = by_number.get(post.number)
        if one is None:
            continue
        if acknowledged and one.trigger != "replay":
            yield f"I7 attempt {post.number} came after one that was acknowledged and known to be"
        acknowledged = owed.was_told(post) and not one.is_interrupted


def _epoch(moment: datetime) -> float:
    return moment.timestamp()


def interrupted(owed: Iterable[Owed]) -> int:
    return sum(one.is_interrupted for delivery in owed for one in delivery.tries)


def in_the_air(posts: Iterable[Post]) -> int:
    """The most requests that the receiver had open at one moment."""
    changes: defaultdict[float, int] = defaultdict(int)
    for post in posts:
        changes[post.at] += 1
        changes[post.ended_at or post.at] -= 1
    most = now = 0
    for moment in sorted(changes):
        now += changes[moment]
        most = max(most, now)
    return most
