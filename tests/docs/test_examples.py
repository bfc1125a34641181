"""Whatever a page tells its reader to run is run here, in order, against the platform that `make run` starts."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.docs.markdown import DOCS, PROGRAMS, README, ROOT, Block, blocks, pages, shown
from tests.docs.platform import Platform, make_run
from tests.docs.stand_ins import stand_ins
from tests.docs.terminal import RECEIVER_PORTS, Reader, fits, masked

ELSEWHERE = {
    "docs/cli.md": "tests/dispatcher/cli/test_docs.py",
    "docs/client.md": "tests/dispatcher/client/test_docs.py",
    "docs/deploy.md": "tests/deployment/test_run.py",
    **{f"docs/receivers/{page.name}": "tests/receivers_kit/test_pages.py" for page in (DOCS / "receivers").iterdir()},
}
# The test that runs a page's programs in its own way. There is no Docker and no Kubernetes where tests run: those of
# deploy.md are the commands of compose.yaml, without the words that start containers.
MARKS = ({"run"}, {"run", "terminal"}, {"file"}, {"seen"})


def told(page: Path) -> list[Block]:
    return [block for block in blocks(page) if block.marks]


QUICKSTART = DOCS / "quickstart.md"
RUN = sorted((page for page in pages() if told(page)), key=lambda page: page != QUICKSTART)
# The quickstart first: the other pages' readers have done it.


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    with make_run() as running:
        yield running


def after_the_quickstart(platform: Platform) -> dict[str, str]:
    """There is the merchant `acme` with an event."""
    platform.create("/api/v2/merchants", {"name": "Acme", "reference": "acme"})
    event = {"type": "card_state", "merchant": "acme", "payload": {"id": "card-1", "status": "blocked"}}
    return {"evt_": platform.create("/api/v2/events", event)["id"]}


def free_ports() -> dict[str, str]:
    """For each of the pages' receivers."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in RECEIVER_PORTS]
        return {ours: str(one.getsockname()[1]) for ours, one in zip(RECEIVER_PORTS, sockets, strict=True)}


@pytest.mark.acceptance
@pytest.mark.parametrize("page", RUN, ids=shown)
def test_the_page_does_what_it_says(page: Path, platform: Platform, tmp_path: Path) -> None:
    seen = {} if page == QUICKSTART else after_the_quickstart(platform)
    with (
        stand_ins() as elsewhere,
        closing(Reader(tmp_path, platform, ports=free_ports(), elsewhere=elsewhere, seen=seen)) as reader,
    ):
        for block in told(page):
            reader.follow(block)


@pytest.mark.parametrize("page", pages(), ids=shown)
def test_there_is_nothing_to_run_that_no_test_runs(page: Path) -> None:
    runnable = [block for block in blocks(page) if block.language in PROGRAMS]
    if shown(page) in ELSEWHERE:
        assert (ROOT / ELSEWHERE[shown(page)]).exists()
    else:
        assert [block.place for block in runnable if not block.marks] == []
    assert [block.place for block in told(page) if set(block.marks) not in MARKS] == []


def test_most_pages_are_run() -> None:
    assert README in RUN
    assert len(RUN) > 8


def test_what_differs_each_time_is_masked_and_the_rest_is_not() -> None:
    secret = "whsec_" + "QUJD" * 11
    line = f'{{"id":"evt_01m7y97e9qev7t3pxd2bamy47k","at":"2026-01-31T12:00:00.25Z","secret":"{secret}"}}'
    assert masked(line) == '{"id":"evt_…","at":"…","secret":"whsec_…"}'
    assert fits(['{"id":"evt_01kfxwm9jceesrtq0733vx0g8y",…}'], line)
    assert fits(["…", "b", "…"], "a\nb\nc\n")
    assert not fits(['{"id":"evt_…","duplicate":true}'], '{"id":"evt_01m7y97e9qev7t3pxd2bamy47k","duplicate":false}')
    assert not fits(["a"], "a\nb\n")
