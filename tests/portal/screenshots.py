"""Pictures of the main screens for the documents, from a platform that runs with a history of its own.

python -m tests.portal.screenshots [DIRECTORY]
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page

from tests.portal.people import OPERATOR, PASSWORD
from tests.portal.pixels import make_small
from tests.portal.site import Site, open_site
from tests.portal.surfing import DESKTOP, PHONE, Surfer, browsing, window
from tests.security.browser import program

DIRECTORY = Path(__file__).resolve().parents[2] / "docs" / "images"
MOST_BYTES = 150_000
# Of one picture.
SETTLE_MS = 400


@dataclass(frozen=True)
class Shot:
    """`name` becomes the file's; `act` is done on the page before the picture is taken."""

    name: str
    page: str
    act: Callable[[Page], None] = lambda page: None
    is_signed_in: bool = True


def open_failing_endpoint(page: Page) -> None:
    page.get_by_role("link", name="erp.northwind.example").first.click()
    page.get_by_role("heading", name="Why is this failing?").wait_for()


def fill_form(page: Page) -> None:
    page.get_by_label("Endpoint URL").fill("https://api.northwind.example/webhooks/orders")
    page.get_by_label("Description").fill("Warehouse")
    page.get_by_text("Choose", exact=True).click()
    page.get_by_label("order.created").first.check()
    page.get_by_label("order.shipped").first.check()
    page.evaluate("scrollTo(0, 0)")


def open_failed_delivery(page: Page) -> None:
    page.locator("#log-rows tr", has_text="Retrying").first.locator(".row-main").click()
    page.locator("#panel .waterfall").first.wait_for()


SHOTS = (
    Shot("sign-in", "login", is_signed_in=False),
    Shot("overview", ""),
    Shot("endpoints", "endpoints/"),
    Shot("endpoint-failing", "endpoints/", open_failing_endpoint),
    Shot("create-webhook", "endpoints/new", fill_form),
    Shot("event-log", "log/", open_failed_delivery),
    Shot("catalogue", "catalogue/"),
)
LOOKS = {
    "light": {"size": DESKTOP, "is_dark": False},
    "dark": {"size": DESKTOP, "is_dark": True},
    "phone": {"size": PHONE, "is_dark": False},
}
ONLY_LIGHT = {"sign-in", "catalogue"}
# The others have a dark picture, too.


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.portal.screenshots", description=__doc__)
    parser.add_argument("directory", nargs="?", type=Path, default=DIRECTORY)
    directory = parser.parse_args().directory
    if program() is None:
        sys.exit("no Chromium here: install the package `chromium`")
    directory.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="s", ignore_cleanup_errors=True) as place,
        open_site(Path(place)) as site,
        browsing() as browser,
    ):
        too_large = [path for path in take_all(browser, site, directory) if path.stat().st_size > MOST_BYTES]
    if too_large:
        sys.exit(f"larger than {MOST_BYTES} bytes: {', '.join(path.name for path in too_large)}")


def take_all(browser: Browser, site: Site, directory: Path) -> Iterator[Path]:
    for look, options in LOOKS.items():
        with window(browser, site, **options) as surfer:  # type: ignore[arg-type] # as LOOKS has them
            for shot in SHOTS:
                if look == "dark" and shot.name in ONLY_LIGHT:
                    continue
                yield take(surfer, shot, directory / f"{shot.name}{'' if look == 'light' else '-' + look}.png")
        if look != "phone":
            with window(browser, site, **options) as surfer:  # type: ignore[arg-type] # as LOOKS has them
                yield take_console(surfer, directory / f"console{'' if look == 'light' else '-' + look}.png")


def take(surfer: Surfer, shot: Shot, path: Path) -> Path:
    """The sign-in comes first; what needs a visitor signs in once."""
    is_in = bool(surfer.context.cookies(surfer.site.base)) and "/login/" not in surfer.page.url
    if shot.is_signed_in and not is_in:
        surfer.sign_in()
    if shot.is_signed_in:
        surfer.go(shot.page)
    else:
        surfer.page.goto(f"{surfer.site.base}/portal/login/")
    surfer.page.wait_for_load_state("networkidle")
    shot.act(surfer.page)
    return keep(surfer.page, path)


def take_console(surfer: Surfer, path: Path) -> Path:
    """What an operator sees first."""
    page = surfer.page
    page.goto(f"{surfer.site.base}/admin/login/")
    page.locator("input[name=username]").fill(OPERATOR)
    page.locator("input[name=password]").fill(PASSWORD)
    page.locator("[type=submit]").first.click()
    page.goto(f"{surfer.site.base}/admin/")
    page.wait_for_load_state("networkidle")
    return keep(page, path)


def keep(page: Page, path: Path) -> Path:
    page.wait_for_timeout(SETTLE_MS)
    path.write_bytes(make_small(page.screenshot(animations="disabled", caret="hide")))
    sys.stdout.write(f"{path.name}: {path.stat().st_size:,} bytes\n")
    return path


if __name__ == "__main__":
    main()
