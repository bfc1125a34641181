"""Stands for the services that merchants move from: answers the few questions of our export programs as they do.

The shapes are those of Svix's own library, whose models read them, and of Convoy's published API reference.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

SVIX, CONVOY = "https://api.eu.svix.com", "https://us.getconvoy.cloud"
TIMES = {"createdAt": "2026-01-01T00:00:00Z", "updatedAt": "2026-01-01T00:00:00Z"}
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
Answer = Callable[[Mapping[str, str]], Any]


def _svix_page(rows: list[dict[str, Any]]) -> Answer:
    """A row a page, so that whoever does not read on finds too few."""

    def answer(query: Mapping[str, str]) -> Any:
        at = int(query.get("iterator", "0"))
        return {"data": rows[at : at + 1], "iterator": str(at + 1), "done": at + 1 >= len(rows)}

    return answer


def _svix_endpoint(number: int) -> dict[str, Any]:
    url = f"https://shop-{number}.example/hooks"
    types = {"eventTypes": ["user.signup"]} if number == 1 else {}
    return {
        "id": f"ep_{number}",
        "url": url,
        "description": "",
        "metadata": {},
        "disabled": number == 2,
        **types,
        **TIMES,
    }


def _convoy_page(query: Mapping[str, str]) -> Any:
    at = int(query.get("next_page_cursor") or "0")
    rows = [_convoy_subscription(number) for number in (1, 2)]
    pagination = {"per_page": 1, "has_next_page": at + 1 < len(rows), "next_page_cursor": str(at + 1)}
    return {"status": True, "message": "", "data": {"content": rows[at : at + 1], "pagination": pagination}}


def _convoy_subscription(number: int) -> dict[str, Any]:
    endpoint = {
        "name": "Orders",
        "owner_id": "shop-17",
        "url": f"https://shop-{number}.example/hooks",
        "status": "active",
        "advanced_signatures": number == 2,
        "secrets": [{"value": "old"}, {"value": "convoy-secret-1"}],
    }
    types = ["*"] if number == 1 else ["order.shipped"]
    return {"uid": f"sub-{number}", "endpoint_metadata": endpoint, "filter_config": {"event_types": types}}


APPS = [
    {"id": f"app_{number}", "uid": f"shop-{number}", "name": f"Shop {number}", "metadata": {}, **TIMES}
    for number in (1, 2)
]
TYPE = {
    "name": "user.signup",
    "description": "Somebody signed up.",
    "deprecated": False,
    "schemas": {"1": {"type": "object"}},
}
ANSWERS: Mapping[str, Answer] = {
    "/api/v1/event-type": _svix_page([{**TYPE, **TIMES}]),
    "/api/v1/app": _svix_page(APPS),
    **{f"/api/v1/app/app_{one}/endpoint": _svix_page([_svix_endpoint(one)]) for one in (1, 2)},
    **{f"/api/v1/app/app_{one}/endpoint/ep_{one}/secret": lambda _: {"key": SECRET} for one in (1, 2)},
    **{
        f"/api/v1/app/app_{one}/endpoint/ep_{one}/headers": lambda _: {"headers": {"X-Shop": "17"}, "sensitive": []}
        for one in (1, 2)
    },
    "/api/v1/projects/01HCB/subscriptions": _convoy_page,
}


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        found = ANSWERS.get(parts.path) if self.headers["Authorization"] else None
        text = json.dumps(found(query) if found else {"detail": parts.path}).encode()
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def stand_ins() -> Iterator[dict[str, str]]:
    """By the address that a page names, the one that answers here."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield {SVIX: url, CONVOY: url}
        finally:
            server.shutdown()
            thread.join()
