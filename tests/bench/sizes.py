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
    singles_alone: int = 1_000
    batches: int = 40
    batches_alone: int = 20
    batch_events: int = 500
    clients: int = 32
    batch_clients: int = 4
    # Events a second → events in all.
    latency: tuple[tuple[int, int], ...] = ((50, 500), (200, 1_500))
    latency_receivers: int = 100
    # Deliveries of the one merchant whose portal is looked at.
    portal: int = 1_000_000
    worker_processes: tuple[int, ...] = (1, 2, 4)
    # Callers at once: ten times as many as are measured with, far more than may wait inside.
    overload_clients: int = 640
    overload: int = 20_000
    # Waiting when the receivers come back.
    outage: int = 100_000
    outage_receivers: int = 100
    # Healthy events, at which pace, and what disturbs them.
    neighbours: int = 2_000
    neighbours_rate: int = 100
    neighbours_receivers: int = 50
    hung_receivers: int = 30
    flood: int = 100_000
    # Deliveries in the log before and after it has grown.
    history: tuple[int, int] = (100_000, 1_000_000)
    history_pages: int = 200


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
    singles_alone=300,
    batches=8,
    batches_alone=4,
    latency=((50, 150), (200, 600)),
    worker_processes=(1, 2),
    overload=6_000,
    outage=4_000,
    neighbours=300,
    flood=4_000,
    history=(5_000, 20_000),
    history_pages=40,
    portal=50_000,
)
