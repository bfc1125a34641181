"""The provider as a test plays it: publishes, changes endpoints, repeats what fails, and remembers what it was told."""

import base64
import http.client
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from dispatcher.ids import new_id
from tests.acceptance.ledger import Ledger, Quiet
from tests.acceptance.recorder import Recorder
from tests.acceptance.stack import Stack, wait_until

EVENT_TYPE = "invoice.paid"
INSIST_S = 120.0
# How long a provider repeats what it gets no answer to.
PAUSE_S = 0.1
OVERLAP_S = 3600
MARK = "the-payload-of-4711"
# In every payload: it must not appear in any log.


@dataclass(slots=True)
class Place:
    """An endpoint as its owner sees it."""

    id: str
    name: str
    merchant: str
    revision: int
    secrets: list[str]

    @property
    def path(self) -> str:
        return f"/{self.name}/{self.revision}/"

    @property
    def route(self) -> str:
        return f"/api/v2/webhooks/endpoints/{self.id}"


class Provider:
    """Every call that changes something is made until it is answered, with one key, as `Idempotency-Key` is meant."""

    def __init__(self, stack: Stack, recorder: Recorder) -> None:
        self.stack, self.recorder = stack, recorder
        self.accepted: dict[str, str] = {}
        self.quiet: list[Quiet] = []
        self.answers: Counter[str] = Counter()
        self._lock = threading.Lock()
        self.insist("POST", "/api/v2/event-types", {"name": EVENT_TYPE}, ok=(201, 409, 422))

    def ledger(self, *, is_faultless: bool = False) -> Ledger:
        quiet = list(self.quiet)
        return Ledger(self.stack, self.recorder, accepted=self.accepted, quiet=quiet, is_faultless=is_faultless)

    def insist(
        self, method: str, path: str, body: object = None, *, ok: Collection[int], key: str | None = None
    ) -> tuple[int, Any]:
        """Repeat until there is an answer that is no trouble of the server's. Fails for one that is not among `ok`."""
        deadline = time.monotonic() + INSIST_S
        headers = {"Idempotency-Key": key} if key else {}
        while True:
            try:
                status, answer = self.stack.call(method, path, body, headers)
            except (OSError, http.client.RemoteDisconnected, http.client.IncompleteRead) as trouble:
                status, answer = 0, type(trouble).__name__
            with self._lock:
                self.answers[f"{method} {status or answer}"] += 1
            is_under_way = status == 409 and answer["code"] == "in_progress"
            if status in ok and not is_under_way:
                return status, answer
            assert status in {0, 503} or is_under_way, (method, path, status, answer)
            assert time.monotonic() < deadline, f"{method} {path} was never answered: {status} {answer}"
            time.sleep(PAUSE_S)

    def add_merchant(self, reference: str) -> str:
        self.insist("POST", "/api/v2/merchants", {"name": reference, "reference": reference}, ok=(201,), key=_key())
        return reference

    def add_endpoint(self, merchant: str, name: str, **fields: Any) -> Place:
        secret = new_secret()
        self.recorder.know(f"/{name}/", secret)
        body = {"url": self.recorder.url(f"/{name}/0/"), "secret": secret, **fields}
        _, made = self.insist("POST", f"/api/v2/webhooks/endpoints?merchant={merchant}", body, ok=(201,), key=_key())
        return Place(made["id"], name, merchant, 0, [secret])

    def publish(self, merchant: str, count: int = 1) -> list[str]:
        """So many events in batches, each with a key of its own; their ids."""
        ids: list[str] = []
        for start in range(0, count, 500):
            keys = [_key() for _ in range(min(500, count - start))]
            events = [
                {"type": EVENT_TYPE, "merchant": merchant, "payload": {"n": n, "text": MARK}, "idempotency_key": key}
                for n, key in enumerate(keys, start)
            ]
            _, answer = self.insist("POST", "/api/v2/events/batch", {"events": events}, ok=(202,))
            ids += self._remember(keys, [one["id"] for one in answer["events"]])
        return ids

    def publish_one(self, merchant: str) -> str:
        key = _key()
        event = {"type": EVENT_TYPE, "merchant": merchant, "payload": {"text": MARK}}
        _, answer = self.insist("POST", "/api/v2/events", event, ok=(202,), key=key)
        return self._remember([key], [answer["id"]])[0]

    def _remember(self, keys: list[str], ids: list[str]) -> list[str]:
        with self._lock:
            self.accepted |= dict(zip(ids, keys, strict=True))
        return ids

    def change(self, place: Place, **fields: Any) -> None:
        self.insist("PATCH", f"{place.route}?merchant={place.merchant}", fields, ok=(200,))

    def disable(self, place: Place) -> None:
        self.change(place, is_active=False)
        self._close(f"/{place.name}/")

    def enable(self, place: Place) -> None:
        self._reopen(f"/{place.name}/")
        self.change(place, is_active=True)

    def move(self, place: Place) -> None:
        """To another path; nothing may come to the old one afterwards."""
        old, place.revision = place.path, place.revision + 1
        self.change(place, url=self.recorder.url(place.path))
        self._close(old)

    def delete(self, place: Place) -> None:
        self.insist("DELETE", f"{place.route}?merchant={place.merchant}", ok=(204, 404))
        self._close(f"/{place.name}/")

    def rotate(self, place: Place) -> None:
        """The receiver knows the new secret before the platform does, as it has to be."""
        place.secrets = [*place.secrets[-1:], new_secret()]
        self.recorder.know(f"/{place.name}/", *place.secrets)
        body = {"secret": place.secrets[-1], "overlap_seconds": OVERLAP_S}
        path = f"{place.route}/secret/rotate?merchant={place.merchant}"
        self.insist("POST", path, body, ok=(200, 409), key=_key())

    def resend(self, place: Place, event_id: str) -> None:
        """Refused where the endpoint is closed or was never owed the event: then nothing happens."""
        path = f"/api/v2/webhooks/events/{event_id}/resend?merchant={place.merchant}"
        self.insist("POST", path, {"endpoint": place.id}, ok=(202, 404, 409))

    def replay(self, place: Place, kind: str) -> None:
        path = f"{place.route}/{kind}?merchant={place.merchant}"
        since = datetime.now(UTC) - timedelta(hours=1)
        self.insist("POST", path, {"since": since.isoformat()}, ok=(202, 409), key=_key())

    def _close(self, prefix: str) -> None:
        with self._lock:
            self.quiet.append(Quiet(prefix, time.time()))

    def _reopen(self, prefix: str) -> None:
        with self._lock:
            self.quiet = [
                replace(one, until=time.time()) if one.prefix == prefix and one.until is None else one
                for one in self.quiet
            ]

    def pending(self) -> int:
        return int(self.stack.sql("SELECT count(*) FROM deliveries_delivery WHERE status = 'pending'")[0][0])

    def wait_for_end(self, *, seconds: float, nudge: Callable[[], None] | None = None) -> None:
        """Until nothing is pending."""
        wait_until(lambda: not self.pending(), seconds=seconds, what="no delivery is pending")


def new_secret() -> str:
    return "whsec_" + base64.b64encode(os.urandom(32)).decode()


def _key() -> str:
    return new_id().hex
