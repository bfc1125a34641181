"""What docs/scaling.md says of thousands of endpoints: fairness, hung receivers, and where more drains stop to help."""

from collections import Counter

import pytest

from tests.simulation.platform import Costs, Platform, Receiver, endpoints, percentile, steady, waits

HEALTHY = Receiver()
CALM_S = 0.05
# A wait that is far from a queue: a look, a turn and a few others' turns.


def test_the_same_seed_makes_the_same_run() -> None:
    found = []
    for _ in range(2):
        targets = endpoints(200)
        platform = Platform(2, 2, dict.fromkeys(targets, HEALTHY))
        platform.run(steady(500, targets, seconds=1), until_s=5)
        found.append([(round(one.waited_s, 9), targets.index(one.endpoint_id)) for one in platform.delivered])
    assert found[0] == found[1]
    assert len(found[0]) > 400


def test_everything_arrives_once() -> None:
    targets = endpoints(500)
    publishes = steady(2_000, targets, seconds=2)
    platform = Platform(3, 2, dict.fromkeys(targets, HEALTHY))
    platform.run(publishes, until_s=20)
    assert Counter(one.endpoint_id for one in platform.delivered) == Counter(target for _, target in publishes)
    assert platform.tables.waiting == 0


@pytest.mark.slow
def test_a_flood_waits_behind_itself() -> None:
    """Three thousand merchants keep two drains half busy, and one of them gets 20,000 events at once."""
    targets = endpoints(3_000)
    crowd = steady(6_000, targets[1:], seconds=3)
    found = {}
    for flood in (0, 20_000):
        platform = Platform(2, 2, dict.fromkeys(targets, HEALTHY))
        platform.run(sorted([*crowd, *[(1.0, targets[0])] * flood]), until_s=60)
        found[flood] = percentile(waits(platform, lambda one: one != targets[0]), 0.95)
        assert len(platform.delivered) == len(crowd) + flood
    assert found[0] < CALM_S
    assert found[20_000] < 2 * found[0]


@pytest.mark.slow
def test_three_hundred_that_hang_hold_up_nobody() -> None:
    targets = endpoints(3_000)
    hung = set(targets[:300])
    crowd = steady(4_000, targets, seconds=4)
    found = {}
    for hanging in (set[object](), hung):
        receivers = {one: Receiver(hangs=one in hanging) for one in targets}
        platform = Platform(2, 2, receivers)
        platform.run(crowd, until_s=14)
        found[len(hanging)] = percentile(waits(platform, lambda one: one not in hung), 0.95)
        assert len(waits(platform, lambda one: one not in hung)) == sum(one not in hung for _, one in crowd)
    assert found[300] < 2 * found[0]


@pytest.mark.slow
def test_lanes_with_the_same_backlog_get_like_shares() -> None:
    """Three hundred lanes with 150 waiting in each. Those that were claimed first have the larger windows and are ahead
    for a while; nobody is left out."""
    targets = endpoints(300)
    backlog = [(0.0, one) for _ in range(150) for one in targets]
    platform = Platform(2, 2, dict.fromkeys(targets, HEALTHY))
    platform.run(backlog, until_s=60)
    half = sorted(platform.delivered, key=lambda one: one.at_s)[: len(backlog) // 2]
    shares = Counter(one.endpoint_id for one in half)
    squares = sum(share**2 for share in shares.values())
    fairness = len(half) ** 2 / (len(targets) * squares)
    # Jain's index: 1 where all get the same, 1/n where one gets all.
    assert fairness > 0.9
    assert min(shares[one] for one in targets) > 150 / 2 / 10


@pytest.mark.slow
@pytest.mark.parametrize("processors", [1, 4])
def test_drains_add_up_until_postgres_is_busy(processors: int) -> None:
    """The rate is that of the drains or that of Postgres, whichever is less: `docs/scaling.md` counts with this."""
    costs = Costs(worker_each=100e-6, postgres_each=50e-6, postgres_turn=0.0)
    targets = endpoints(1_000)
    backlog = [(0.0, one) for _ in range(20) for one in targets]
    for drains in (1, 2, 4, 8):
        platform = Platform(drains, processors, dict.fromkeys(targets, Receiver(0.005)), costs=costs)
        platform.run(backlog, until_s=60)
        assert len(platform.delivered) == len(backlog)
        rate = len(backlog) / platform.recorded_s
        expected = min(drains / (costs.worker_each + costs.postgres_each), processors / costs.postgres_each)
        assert rate == pytest.approx(expected, rel=0.15), (drains, rate, expected)
