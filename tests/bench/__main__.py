"""Runs the benches and prints their table; see docs/performance.md."""

import argparse
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeVar

import redis

from config.embedded.errors import EmbeddedError
from tests.bench import documents
from tests.bench.load import LoadFailed
from tests.bench.processes import ProcessFailed
from tests.bench.report import Report, describe_machine
from tests.bench.sizes import FULL, QUICK, Sizes
from tests.bench.stage import Stage, open_stage

T = TypeVar("T")

NAMES = (
    "drain",
    "requests",
    "workers",
    "publish",
    "overload",
    "latency",
    "neighbours",
    "outage",
    "cost",
    "history",
    "portal",
)


def main() -> None:
    options = _options()
    sizes = QUICK if options.quick else FULL
    if options.runs:
        sizes = replace(sizes, runs=options.runs)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with open_stage() as stage:
            report = _run(stage, sizes, options.names or NAMES)
    except (EmbeddedError, LoadFailed, ProcessFailed) as error:
        sys.exit(f"the bench broke: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    _say(report.plain(), "", report.markdown())
    if options.write:
        sys.exit("\n".join(documents.write(report)) or 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "names", nargs="*", choices=[[], *NAMES], metavar="name", help=f"of {', '.join(NAMES)}; all by default"
    )
    parser.add_argument("--runs", type=int, default=0, help="measured runs of each bench (5; 1 with --quick)")
    parser.add_argument("--quick", action="store_true", help="one small run of each: shows that it works, no more")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md and the table in README.md")
    return parser.parse_args()


def _run(stage: Stage, sizes: Sizes, names: tuple[str, ...]) -> Report:
    """The benches by name, each in a fresh database. Exits when a ledger does not balance."""
    from tests.bench import (
        cost,
        drain,
        growth,
        latency,
        ledger,
        neighbours,
        outage,
        overload,
        portal,
        publish,
        rivals,
        workers,
        world,
    )

    key = world.seed(sizes.endpoints)
    report = Report(_machine(stage))
    stage.keep_as_fresh()
    try:
        if {"drain", "requests"} & set(names):
            naive = _timed("naive path", lambda: rivals.naive_path(stage, sizes, report))
        if "drain" in names:
            _timed("drain", lambda: drain.bench(stage, sizes, report, naive))
        if "requests" in names:
            _timed("drain with the requests client", lambda: drain.bench_requests(stage, sizes, report, naive))
        others: dict[str, Callable[[], None]] = {
            "workers": lambda: workers.bench(stage, sizes, report),
            "publish": lambda: publish.bench(stage, sizes, report, key),
            "overload": lambda: overload.bench(stage, sizes, report, key),
            "latency": lambda: latency.bench(stage, sizes, report, key),
            "neighbours": lambda: neighbours.bench(stage, sizes, report, key),
            "outage": lambda: outage.bench(stage, sizes, report),
            "cost": lambda: cost.bench(stage, sizes, report, key),
            "history": lambda: growth.bench(stage, sizes, report, key),
            "portal": lambda: portal.bench(stage, sizes, report),
        }
        for name, bench in others.items():
            if name in names:
                _timed(name, bench)
    except ledger.Void as fault:
        sys.exit(f"this run is void: {fault}")
    return report


def _timed(name: str, bench: Callable[[], T]) -> T:
    began = time.monotonic()
    found = bench()
    sys.stderr.write(f"{name}: {time.monotonic() - began:.0f} s\n")
    return found


def _say(*lines: str) -> None:
    sys.stdout.write("\n".join(lines) + "\n")


def _machine(stage: Stage) -> str:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        (postgres,) = cursor.fetchone() or ("?",)
    with redis.Redis.from_url(stage.environment["REDIS_URL"]) as client:
        info = client.info("server")
    server = f"Valkey {info['valkey_version']}" if "valkey_version" in info else f"Redis {info['redis_version']}"
    return describe_machine(postgres.split()[0], server, f"{datetime.now(UTC):%Y-%m-%d}")


if __name__ == "__main__":
    main()
