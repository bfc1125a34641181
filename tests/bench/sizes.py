"""How much each bench does."""

from dataclasses import dataclass, replace

PAYLOAD_LINES = 8
# An invoice with so many lines is about 430 bytes of JSON.


@dataclass(frozen=True, slots=True)
class Sizes:
    """Counts for one measured run, `runs` of which make a figure."""

    runs: int = 5
    endpoints: int = 10_000
    drain: int = 20_000
    drain_receivers: tuple[int, ...] = (10_000, 100, 1)
    # The requests client and the naive path are an order of magnitude slower: fewer deliveries, as many seconds.
    requests: int = 5_000
    requests_receivers: tuple[int, ...] = (10_000, 100, 1)
    naive: int = 1_000
    naive_receivers: int = 100
    singles: int = 6_000
    batches: int = 40
    batch_events: int = 500
    clients: int = 32
    batch_clients: int = 4
    # Events a second → events in all.
    latency: tuple[tuple[int, int], ...] = ((50, 500), (200, 1_500))
    latency_receivers: int = 100


FULL = Sizes()
QUICK = replace(
    FULL,
    runs=1,
    endpoints=2_000,
    drain=4_000,
    drain_receivers=(2_000, 100, 1),
    requests=1_500,
    requests_receivers=(2_000, 100),
    naive=400,
    singles=1_500,
    batches=8,
    latency=((50, 150), (200, 600)),
)
