"""Chromium, driven as a person would, with an eye on everything that a page must not do."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from tests.portal.people import OWNER, PASSWORD
from tests.portal.site import Site
from tests.security.browser import program

AXE = Path(__file__).parent / "vendor" / "axe-core-4.14.1.min.js"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
BAD = {"serious", "critical"}
ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--force-device-scale-factor=1"),
]
DESKTOP, PHONE = (1280, 900), (390, 844)
MOST_SHIFT = 0.02
# Of the page, summed: what nobody notices.
WATCH = """
window.portalSeen = {shift: 0, policy: []};
addEventListener("securitypolicyviolation", (event) => window.portalSeen.policy.push(
  `${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.portalSeen.shift += entry.value;
}).observe({type: "layout-shift", buffered: true});
"""
ASK_AXE = """
async (tags) => {
  const options = {runOnly: {type: "tag", values: tags}, resultTypes: ["violations"], preload: false};
  const found = await axe.run(document, options);
  return found.violations.map((one) => ({
    id: one.id, impact: one.impact, help: one.help,
    nodes: one.nodes.map((node) => `${node.target.join(" ")}: ${(node.failureSummary || "").replace(/\\s+/g, " ")}`),
  }));
}
"""


@dataclass
class Surfer:
    """One window. `expected` are the statuses that the present page is meant to answer with besides 200."""

    site: Site
    context: BrowserContext
    page: Page
    width: int = DESKTOP[0]
    has_scripts: bool = True
    complaints: list[str] = field(default_factory=list)
    expected: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(15_000)
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda trouble: self.complaints.append(f"error: {trouble}"))
        if self.has_scripts:
            self.page.add_init_script(WATCH)

    def _hear(self, message: ConsoleMessage) -> None:
        is_meant = any(f"the server responded with a status of {status}" in message.text for status in self.expected)
        if message.type in {"error", "warning"} and not is_meant:
            self.complaints.append(f"{message.type}: {message.text} {message.location}")

    def sign_in(self, name: str = OWNER) -> "Surfer":
        self.page.goto(f"{self.site.base}/portal/login/")
        self.page.get_by_label("User name").fill(name)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Log in").click()
        self.page.wait_for_url(lambda address: "/login/" not in address)
        return self

    def go(self, page: str = "", *, merchant: str = "northwind") -> Page:
        answer = self.page.goto(self.site.address(page, merchant=merchant))
        assert answer is not None
        assert answer.status in {200, *self.expected}, (page, answer.status)
        return self.page

    def check(self) -> None:
        """The page as it stands now: nothing that shuts people out, no complaint of the browser's, no jump."""
        self.page.wait_for_load_state("networkidle")
        seen = self.page.evaluate("window.portalSeen")
        where = self.page.url
        assert (where, self.complaints) == (where, [])
        assert (where, seen["policy"]) == (where, [])
        assert seen["shift"] < MOST_SHIFT, (where, seen["shift"])
        assert (where, self.barriers()) == (where, [])
        width = self.page.evaluate("document.documentElement.scrollWidth")
        assert width <= self.width, f"{where} scrolls sideways: {width} > {self.width}"

    def barriers(self) -> list[Any]:
        """What axe finds serious or worse. The browser lets its evaluation pass by the page's policy."""
        self.page.evaluate(AXE.read_text())
        return [one for one in self.page.evaluate(ASK_AXE, TAGS) if one["impact"] in BAD]


@contextmanager
def browsing() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program() or "", args=ARGUMENTS)
        yield browser
        browser.close()


@contextmanager
def window(
    browser: Browser,
    site: Site,
    *,
    size: tuple[int, int] = DESKTOP,
    is_dark: bool = False,
    has_scripts: bool = True,
) -> Iterator[Surfer]:
    """A window of a browser that has never been here."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if is_dark else "light",
        java_script_enabled=has_scripts,
        has_touch=size == PHONE,
        is_mobile=size == PHONE,
        locale="en-GB",
        timezone_id="Europe/Vilnius",
        reduced_motion="reduce",
    )
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    try:
        yield Surfer(site, context, context.new_page(), size[0], has_scripts)
    finally:
        context.close()
