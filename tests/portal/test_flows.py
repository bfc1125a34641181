"""What people come to the portal for, done with mouse and keys in a real browser against a real platform."""

import re
from collections.abc import Iterator
from uuid import UUID

import pytest
from playwright.sync_api import Page, expect

from dispatcher.ids import Prefix, show
from tests.acceptance.stack import wait_until
from tests.portal.conftest import Open
from tests.portal.people import MERCHANT
from tests.portal.site import Site
from tests.portal.surfing import PHONE, Surfer

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

STATUSES = """
SELECT d.status FROM deliveries_delivery d JOIN deliveries_event e ON e.id = d.event_id WHERE e.external_id = %s
"""
OUTLINE = """
(() => { const style = getComputedStyle(document.activeElement); return [style.outlineStyle, style.outlineWidth]; })()
"""
SOON_MS = 20_000
# For what a worker has to do first, on a busy machine.


@pytest.fixture(autouse=True)
def good_manners(site: Site) -> Iterator[None]:
    yield
    site.manner.status, site.manner.body = "200 OK", '{"received": true}'


def create_webhook(surfer: Surfer, merchant: str, *, retries: str = "") -> str:
    """A new merchant's first, by the form as it opens. Returns the secret that was shown."""
    site = surfer.site
    page = surfer.go("endpoints/", merchant=site.add_merchant(merchant))
    page.get_by_role("link", name="Create webhook").first.click()
    page.get_by_label("Endpoint URL").fill(f"{site.receiver_url}?{merchant}")
    if retries:
        page.get_by_text("Advanced").click()
        page.get_by_label("Retries").fill(retries)
    surfer.check()
    page.get_by_role("button", name="Create webhook").click()
    page.get_by_role("heading", name="Your webhook is ready").wait_for()
    return str(page.locator("#secret").text_content())


def statuses(site: Site, event_id: str) -> list[str]:
    return [str(status) for (status,) in site.stack.sql(STATUSES, event_id)]


class TestFromTheFirstWebhookToTheLastRecovery:
    def test_create_test_fail_understand_fix_recover(self, surf: Open, site: Site) -> None:
        surfer = surf()
        page = surfer.page
        # Create: the secret is shown once, and the page cannot be asked for it again.
        secret = create_webhook(surfer, "first", retries="none")
        assert len(secret) > 30
        surfer.check()
        # Test: the receiver fails, and its answer stands there at once.
        site.manner.status, site.manner.body = "500 Internal Server Error", '{"error": "<b>no database</b>"}'
        page.get_by_role("button", name="Send test event").click()
        expect(page.get_by_role("heading", name="Answered 500")).to_be_visible()
        expect(page.get_by_text("<b>no database</b>").first).to_be_visible()
        surfer.check()
        endpoint = page.url.partition("/endpoints/")[2].partition("/")[0]
        page.goto(site.address(f"endpoints/{endpoint}/", merchant="first"))
        assert secret not in page.content()
        # A real event fails for good, and the page says why and what helps.
        site.publish("order.created", {"id": "ord_1"}, id="first-1", merchant="first")
        site.publish("order.created", {"id": "ord_2"}, id="first-2", merchant="first")
        wait_until(lambda: statuses(site, "first-2") == ["failed"], seconds=30, what="the second event has failed")
        page.reload()
        expect(page.get_by_role("heading", name="Why is this failing?")).to_be_visible()
        expect(page.get_by_text("Answered 500.")).to_be_visible()
        expect(page.get_by_text("Look into the receiver's own log")).to_be_visible()
        surfer.check()
        # Fix, recover: first a count, then the deed with its progress.
        site.manner.status, site.manner.body = "200 OK", "{}"
        page.get_by_role("link", name="Send failed again").click()
        page.get_by_role("region", name="Recover failed").get_by_role("button", name="Count").click()
        expect(page.get_by_text("Failed deliveries:")).to_be_visible()
        surfer.check()
        page.get_by_role("button", name=re.compile(r"Send \d+ again")).click()
        expect(page.get_by_role("region", name="Lately").get_by_text("Finished")).to_be_visible(timeout=SOON_MS)
        surfer.check()
        wait_until(lambda: statuses(site, "first-1") == ["delivered"], seconds=30, what="it was delivered")
        page.get_by_role("link", name="Health").click()
        expect(page.get_by_role("heading", name="Why is this failing?")).to_have_count(0)
        assert {"id": "ord_2"} in site.received()

    def test_rotate_the_secret(self, surf: Open, site: Site) -> None:
        surfer = surf()
        page = surfer.page
        old = create_webhook(surfer, "rotated")
        page.get_by_role("link", name="Go to the endpoint").click()
        page.get_by_role("link", name="Signing").click()
        surfer.check()
        page.get_by_role("button", name="Reveal").click()
        expect(page.locator("#secret")).to_have_text(old)
        surfer.check()
        page.get_by_role("link", name="Done").click()
        page.get_by_role("link", name="Signing").click()
        page.get_by_role("link", name="Rotate", exact=True).click()
        surfer.check()
        page.get_by_label("after 1 hour").check()
        page.get_by_role("button", name="Rotate", exact=True).click()
        expect(page.locator("#secret")).not_to_have_text(old)
        expect(page.get_by_text("Requests carry signatures of the old and the new secret until")).to_be_visible()
        surfer.check()
        page.get_by_role("button", name="Copy the secret").click()
        assert page.evaluate("navigator.clipboard.readText()") == page.locator("#secret").text_content()

    def test_hold_and_release(self, surf: Open, site: Site) -> None:
        surfer = surf()
        page = surfer.page
        create_webhook(surfer, "held")
        page.get_by_role("link", name="Go to the endpoint").click()
        page.get_by_role("button", name="Pause").click()
        expect(page.get_by_text("Events that come now are held").first).to_be_visible()
        site.publish("order.shipped", {"id": "held"}, id="held-1", merchant="held")
        surfer.check()
        wait_until(lambda: "held" in statuses(site, "held-1"), seconds=30, what="it is held")
        page.get_by_role("link", name="Send again").first.click()
        expect(page.get_by_text("Enable the endpoint first.").first).to_be_visible()
        page.get_by_role("button", name="Enable").click()
        page.get_by_role("link", name="Send again").first.click()
        page.get_by_role("region", name="Release held").get_by_role("button", name="Count").click()
        expect(page.get_by_text("Held deliveries: 1.")).to_be_visible()
        page.get_by_role("button", name="Send 1 again").click()
        expect(page.get_by_role("region", name="Lately").get_by_text("Finished")).to_be_visible(timeout=SOON_MS)
        wait_until(lambda: "held" not in statuses(site, "held-1"), seconds=30, what="it is released")
        surfer.check()


class TestLog:
    @pytest.fixture
    def log(self, surf: Open) -> Surfer:
        surfer = surf()
        surfer.go("log/")
        return surfer

    def test_filters_are_in_the_address_and_the_back_button_takes_them_away(self, log: Surfer) -> None:
        page = log.page
        page.get_by_label("Status").select_option("failed")
        page.wait_for_url("**status=failed**")
        expect(page.locator("#log-rows .state-delivered")).to_have_count(0)
        assert page.locator("#log-rows tr").count() > 10
        log.check()
        page.get_by_label("Event type").select_option("payment.refunded")
        page.wait_for_url("**type=payment.refunded**")
        page.go_back()
        page.wait_for_url("**status=failed**")
        expect(page.get_by_label("Event type")).to_have_value("")
        page.go_back()
        expect(page.locator("#log-rows .state-delivered").first).to_be_visible()
        expect(page.get_by_label("Status")).to_have_value("")

    def test_search_by_the_beginning_of_an_id(self, log: Surfer, site: Site) -> None:
        ((row_id,),) = site.stack.sql("SELECT id FROM deliveries_delivery ORDER BY id LIMIT 1")
        named = show(Prefix.DELIVERY, UUID(str(row_id)))
        page = log.page
        page.keyboard.press("/")
        page.keyboard.type(named[:20])
        page.keyboard.press("Enter")
        expect(page.locator("#log-rows tr")).to_have_count(1)
        expect(page.locator("#log-rows tr")).to_have_attribute("data-id", named)
        log.check()

    def test_the_panel_opens_closes_and_follows_the_back_button(self, log: Surfer) -> None:
        page = log.page
        page.get_by_label("Status").select_option("failed")
        page.wait_for_url("**status=failed**")
        first = page.locator("#log-rows tr").first
        first.locator(".row-main").click()
        panel = page.locator("#panel")
        expect(panel).to_be_visible()
        page.wait_for_url("**open=del_**")
        expect(panel.get_by_text("Answered 503").first).to_be_visible()
        log.check()
        panel.locator(".step-head").nth(1).click()
        expect(panel.get_by_text("503 Service Temporarily Unavailable").nth(1)).to_be_visible()
        panel.get_by_role("link", name="Event").click()
        expect(panel.get_by_role("heading", name="Payload")).to_be_visible()
        log.check()
        page.go_back()
        expect(panel).to_have_count(0)
        assert "open=" not in page.url
        assert "status=failed" in page.url
        page.go_forward()
        expect(panel).to_be_visible()

    def test_copy_as_curl(self, log: Surfer) -> None:
        page = log.page
        page.locator("#log-rows .row-main").first.click()
        page.locator("#panel").get_by_text("Request", exact=True).click()
        page.get_by_role("button", name="Copy as curl").first.click()
        assert str(page.evaluate("navigator.clipboard.readText()")).startswith("curl -X POST https://")

    def test_pick_and_resend(self, surf: Open, site: Site) -> None:
        surfer = surf()
        create_webhook(surfer, "picked")
        for number in (1, 2):
            site.publish("order.created", {"id": f"pick-{number}"}, id=f"pick-{number}", merchant="picked")
        wait_until(lambda: "delivered" in statuses(site, "pick-2"), seconds=30, what="both were delivered")
        wait_until(lambda: set(statuses(site, "pick-1")) == {"delivered"}, seconds=30, what="both were delivered")
        page = surfer.go("log/", merchant="picked")
        before = len(site.received())
        page.get_by_label("Pick this delivery").nth(0).check()
        page.get_by_label("Pick this delivery").nth(1).check()
        expect(page.get_by_text("2 picked")).to_be_visible()
        page.get_by_role("button", name="Resend picked").click()
        expect(page.get_by_text("2 deliveries are being sent again.")).to_be_visible()
        wait_until(lambda: len(site.received()) >= before + 2, seconds=30, what="both came again")
        surfer.check()

    def test_live_shows_what_comes(self, surf: Open, site: Site) -> None:
        surfer = surf()
        create_webhook(surfer, "live")
        page = surfer.go("log/", merchant="live")
        page.get_by_role("button", name="Live", exact=True).click()
        expect(page.get_by_role("button", name="Pause", exact=True)).to_be_visible()
        site.publish("order.created", {"id": "live"}, id="live-now", merchant="live")
        expect(page.get_by_text("live-now").first).to_be_visible(timeout=SOON_MS)
        surfer.check()
        page.get_by_role("button", name="Pause").click()
        site.publish("order.created", {"id": "later"}, id="live-later", merchant="live")
        page.wait_for_timeout(3_000)
        expect(page.get_by_text("live-later")).to_have_count(0)

    def test_export_and_download(self, log: Surfer, site: Site) -> None:
        page = log.page
        page.get_by_label("Time").select_option("24h")
        page.wait_for_url("**range=24h**")
        page.get_by_role("link", name="Export").click()
        expect(page.get_by_label("From")).not_to_have_value("")
        log.check()
        page.get_by_role("button", name="Export").click()
        page.get_by_role("link", name="Download").first.wait_for(timeout=SOON_MS)
        with page.expect_download() as started:
            page.get_by_role("link", name="Download").first.click()
        text = started.value.path().read_text()
        assert text.startswith("event_id,delivery_id,endpoint_id,")
        assert len(text.splitlines()) > 90
        log.check()


class TestKeys:
    def test_j_k_and_escape_walk_the_log(self, surf: Open) -> None:
        page = surf().go("log/")
        ids = [row.get_attribute("data-id") for row in page.locator("#log-rows tr").all()]
        panel = page.locator("#panel")
        for key, place in (("j", 0), ("j", 1), ("j", 2), ("k", 1)):
            page.keyboard.press(key)
            expect(panel).to_have_attribute("data-id", str(ids[place]))
        page.keyboard.press("Escape")
        expect(panel).to_have_count(0)
        assert page.evaluate("document.activeElement.closest('tr').dataset.id") == ids[1]

    def test_g_goes_to_sections_and_question_mark_tells_the_keys(self, surf: Open, site: Site) -> None:
        page = surf().go("")
        for key, part in (("e", "endpoints/"), ("l", "log/"), ("c", "catalogue/"), ("k", "keys/"), ("o", "")):
            page.keyboard.press("g")
            page.keyboard.press(key)
            page.wait_for_url(site.address(part))
        page.keyboard.press("?")
        expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog", name="Keys")).to_have_count(0)

    def test_an_endpoint_is_made_without_a_mouse(self, surf: Open, site: Site) -> None:
        page = surf().go("endpoints/new", merchant=site.add_merchant("keys"))
        assert tab_to(page, "Skip to content") == 1
        page.keyboard.press("Enter")
        tab_to(page, "url")
        page.keyboard.type(f"{site.receiver_url}?keys")
        tab_to(page, "Create webhook")
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Your webhook is ready").wait_for()

    def test_focus_is_always_seen(self, surf: Open) -> None:
        page = surf().go("log/")
        for _ in range(25):
            page.keyboard.press("Tab")
            style = page.evaluate(OUTLINE)
            assert style[0] != "none", page.evaluate("document.activeElement.outerHTML.slice(0, 200)")
            assert style[1] != "0px"


def tab_to(page: Page, wanted: str) -> int:
    """Press Tab until what has this name or text is reached; how often."""
    for times in range(1, 60):
        page.keyboard.press("Tab")
        told = page.evaluate("[document.activeElement.name, document.activeElement.textContent.trim()]")
        if wanted in told:
            return times
    raise AssertionError(f"{wanted} cannot be reached by Tab")


class TestPhone:
    def test_the_menu_and_the_panel(self, surf: Open, site: Site) -> None:
        surfer = surf(size=PHONE)
        page = surfer.go("")
        page.get_by_role("button", name="Menu").click()
        surfer.check()
        page.get_by_role("link", name="Event log").click()
        page.locator("#log-rows .row-main").first.click()
        panel = page.locator("#panel")
        expect(panel).to_be_visible()
        box = panel.bounding_box()
        assert box is not None
        assert (box["x"], box["width"]) == (0, 390)
        surfer.check()
        panel.get_by_role("link", name="Close").click()
        expect(panel).to_have_count(0)
        surfer.check()


class TestWithoutScripts:
    def test_sign_in_create_test_and_read_the_log(self, surf: Open, site: Site) -> None:
        surfer = surf(has_scripts=False)
        secret = create_plainly(surfer, site.add_merchant("plain"))
        assert len(secret) > 30
        page = surfer.page
        page.get_by_role("button", name="Send test event").click()
        expect(page.get_by_role("heading", name="Delivered")).to_be_visible()
        page.goto(site.address("log/?status=failed"))
        expect(page.locator("#log-rows tr").first).to_be_visible()
        page.get_by_label("Status").select_option("delivered")
        page.get_by_role("button", name="Search").click()
        expect(page.locator("#log-rows .state-failed")).to_have_count(0)
        page.locator("#log-rows .row-main").first.click()
        expect(page.get_by_role("heading", name="Delivery")).to_be_visible()
        expect(page.get_by_text("Delivered").first).to_be_visible()
        page.get_by_role("link", name="Event", exact=True).click()
        expect(page.get_by_role("heading", name="Payload")).to_be_visible()
        expect(page.locator("[data-copy]:visible")).to_have_count(0)
        assert surfer.complaints == []

    def test_the_theme_is_remembered_where_there_are_scripts(self, surf: Open) -> None:
        surfer = surf()
        page = surfer.go("")
        for theme in ("light", "dark"):
            page.get_by_role("button", name="Theme").click()
            assert page.evaluate("document.documentElement.dataset.theme") == theme
        page.reload()
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(15, 20, 26)"
        surfer.check()


def create_plainly(surfer: Surfer, merchant: str) -> str:
    page = surfer.go("endpoints/new", merchant=merchant)
    page.get_by_label("Endpoint URL").fill(f"{surfer.site.receiver_url}?plain")
    page.get_by_role("button", name="Create webhook").click()
    return str(page.locator("#secret").text_content())


def test_a_merchant_is_chosen(surf: Open, site: Site) -> None:
    page = surf().page
    page.goto(f"{site.base}/portal/")
    page.get_by_role("link", name="Northwind Books").click()
    page.wait_for_url(site.address(merchant=MERCHANT))
