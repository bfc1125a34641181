"""A headless Chromium that says which rules of a page's policy were broken."""

import asyncio
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
START_S = 20.0
SETTLE_S = 0.05
# After the load event: what scripts do at once has been done.


def program() -> str | None:
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


@dataclass
class Seen:
    """What a page complained about."""

    address: str
    title: str = ""
    complaints: list[str] = field(default_factory=list)


def look_at(addresses: Iterable[str], *, cookies: dict[str, str], script: str = "") -> list[Seen]:
    """Open each in turn, run `script` in it, and tell what the browser refused or failed at."""
    return asyncio.run(_look_at(list(addresses), cookies, script))


async def _look_at(addresses: list[str], cookies: dict[str, str], script: str) -> list[Seen]:
    async with _page() as page:
        for domain in ("Page", "Runtime", "Log", "Audits", "Network"):
            await page.call(f"{domain}.enable")
        for name, value in cookies.items():
            await page.call("Network.setCookie", name=name, value=value, url=addresses[0], httpOnly=True)
        return [await page.visit(address, script) for address in addresses]


class Page:
    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._number = 0
        self._events: list[dict[str, Any]] = []

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": params})
        while True:
            message = json.loads((await self._socket.receive(timeout=START_S)).data)
            if message.get("id") == self._number:
                found: dict[str, Any] = message.get("result", {})
                return found
            self._events.append(message)

    async def visit(self, address: str, script: str) -> Seen:
        self._events.clear()
        await self.call("Page.navigate", url=address)
        while not any(event.get("method") == "Page.loadEventFired" for event in self._events):
            await self.call("Runtime.evaluate", expression="1")
        if script:
            await self.call("Runtime.evaluate", expression=script, awaitPromise=True)
        await asyncio.sleep(SETTLE_S)
        title = await self.call("Runtime.evaluate", expression="document.title")
        return Seen(address, title["result"]["value"], [told for event in self._events if (told := _complaint(event))])


def _complaint(event: dict[str, Any]) -> str:
    params = event.get("params", {})
    match event.get("method"):
        case "Audits.issueAdded" if "ContentSecurityPolicy" in params["issue"]["code"]:
            return json.dumps(params["issue"]["details"])
        case "Log.entryAdded" if "Content Security Policy" in params["entry"]["text"]:
            return str(params["entry"]["text"])
        case "Runtime.exceptionThrown":
            return json.dumps(params["exceptionDetails"])[:500]
    return ""


@asynccontextmanager
async def _page() -> AsyncIterator[Page]:
    with tempfile.TemporaryDirectory(prefix="signet-browser-", ignore_cleanup_errors=True) as profile:
        command = [program() or "", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        command += ["--remote-debugging-port=0", f"--user-data-dir={profile}", "--no-first-run", "about:blank"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: ASYNC220
        try:
            port = _port(Path(profile) / "DevToolsActivePort")
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://127.0.0.1:{port}/json") as answer:
                    pages = [one for one in await answer.json() if one["type"] == "page"]
                async with session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                    yield Page(socket)
        finally:
            process.terminate()
            process.wait(10)


def _port(file: Path) -> int:
    deadline = time.monotonic() + START_S
    while not (file.exists() and file.read_text().strip()):
        assert time.monotonic() < deadline, "the browser did not start"
        time.sleep(0.05)
    return int(file.read_text().splitlines()[0])
