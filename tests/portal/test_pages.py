"""Every page in a real browser: open to everybody, quiet, small, steady, and as wide as the screen."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from tests.portal.conftest import Open
from tests.portal.people import EMPTY, OPERATOR, VIEWER
from tests.portal.site import Site
from tests.portal.surfing import DESKTOP, PHONE, Surfer

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

VENDOR = Path(__file__).parent / "vendor"
MOST_BYTES = 150_000
# Cold: the page with all that it loads.
ENDPOINT = "SELECT id FROM subscriptions_endpoint WHERE description = %s"
DELIVERY = "SELECT id FROM deliveries_delivery WHERE last_reason = %s ORDER BY id DESC LIMIT 1"
PAGES = [
    "",
    "?period=30d",
    "endpoints/",
    "endpoints/new",
    "endpoints/{failing}/",
    "endpoints/{failing}/?tab=signing",
    "endpoints/{failing}/?tab=test",
    "endpoints/{failing}/?tab=again",
    "endpoints/{failing}/?tab=settings",
    "endpoints/{paused}/",
    "endpoints/{failing}/edit",
    "endpoints/{failing}/rotate",
    "endpoints/{failing}/delete",
    "log/",
    "log/?status=failed",
    "log/?status=cancelled",
    "log/?open={delivery}",
    "log/{delivery}/",
    "log/{delivery}/?tab=event",
    "log/{delivery}/1",
    "exports/",
    "catalogue/",
    "catalogue/payment.succeeded/",
    "keys/",
    "keys/new",
    "team/",
    "audit/",
]
COLD = [
    "",
    "endpoints/",
    "endpoints/new",
    "endpoints/{failing}/",
    "log/",
    "log/?open={delivery}",
    "catalogue/",
    "keys/",
]


@pytest.fixture(scope="session")
def names(site: Site) -> dict[str, str]:
    from uuid import UUID

    from dispatcher.ids import Prefix, show

    def one(prefix: Prefix, query: str, *params: str) -> str:
        ((found,),) = site.stack.sql(query, *params)
        return show(prefix, UUID(str(found)))

    return {
        "failing": one(Prefix.ENDPOINT, ENDPOINT, "Bookkeeping"),
        "paused": one(Prefix.ENDPOINT, ENDPOINT, "Staging"),
        "delivery": one(Prefix.DELIVERY, DELIVERY, "http_server_error"),
    }


@pytest.fixture(scope="session")
def looks() -> list[dict[str, Any]]:
    return [
        {"size": DESKTOP},
        {"size": DESKTOP, "is_dark": True},
        {"size": PHONE},
        {"size": PHONE, "is_dark": True},
    ]


@pytest.mark.parametrize("look", range(4), ids=["desktop", "desktop dark", "phone", "phone dark"])
def test_every_page_is_open_to_everybody(
    look: int, looks: list[dict[str, Any]], surf: Open, names: dict[str, str]
) -> None:
    surfer = surf(**looks[look])
    wrong = []
    for page in PAGES:
        surfer.complaints.clear()
        surfer.go(page.format(**names))
        try:
            surfer.check()
        except AssertionError as trouble:
            wrong.append(f"{page}: {str(trouble)[:1500]}")
    assert wrong == []


@pytest.mark.parametrize("look", range(4), ids=["desktop", "desktop dark", "phone", "phone dark"])
def test_the_way_in_and_empty_pages(look: int, looks: list[dict[str, Any]], surf: Open, site: Site) -> None:
    surfer = surf(name="", **looks[look])
    surfer.page.goto(f"{site.base}/portal/login/")
    surfer.check()
    surfer.sign_in()
    surfer.page.goto(f"{site.base}/portal/")
    surfer.check()
    for page in ("", "endpoints/", "log/", "keys/", "exports/"):
        surfer.go(page, merchant=EMPTY)
        surfer.check()


def test_what_is_not_there_says_so(surf: Open, site: Site) -> None:
    surfer = surf()
    surfer.expected = {404}
    surfer.go("log/del_0/")
    surfer.check()
    surfer.page.goto(f"{site.base}/portal/mer_01kfxwm9jceesrtq0733vx0g8y/")
    surfer.check()


def test_a_viewers_pages(surf: Open, names: dict[str, str]) -> None:
    surfer = surf(name=VIEWER)
    for page in ("", "endpoints/{failing}/", "endpoints/{failing}/?tab=again", "log/?open={delivery}", "exports/"):
        surfer.go(page.format(**names))
        surfer.check()


def test_the_form_with_mistakes(surf: Open) -> None:
    surfer = surf()
    surfer.expected = {422}
    page = surfer.go("endpoints/new")
    page.get_by_label("Endpoint URL").fill("nonsense")
    page.get_by_role("button", name="Create webhook").click()
    page.get_by_text("Not saved yet").wait_for()
    surfer.check()


def bytes_of(surfer: Surfer, address: str) -> int:
    """What comes over the wire, headers included, for a browser that has nothing yet."""
    session = surfer.context.new_cdp_session(surfer.page)
    session.send("Network.enable")
    session.send("Network.setCacheDisabled", {"cacheDisabled": True})
    lengths: list[float] = []
    session.on("Network.loadingFinished", lambda event: lengths.append(event["encodedDataLength"]))
    surfer.page.goto(address)
    surfer.page.wait_for_load_state("networkidle")
    session.detach()
    return int(sum(lengths))


@pytest.mark.parametrize("page", COLD)
def test_a_page_is_small(page: str, surf: Open, site: Site, names: dict[str, str]) -> None:
    surfer = surf()
    assert 0 < bytes_of(surfer, site.address(page.format(**names))) <= MOST_BYTES


def test_the_console_of_an_operator_leads_into_the_portal(surf: Open, site: Site) -> None:
    surfer = surf(name=OPERATOR)
    surfer.page.goto(f"{site.base}/admin/")
    assert surfer.complaints == []


def test_what_is_vendored_is_what_it_says() -> None:
    for line in (VENDOR / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest
