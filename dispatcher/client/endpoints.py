"""A merchant's endpoints and their secrets."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Unpack

from dispatcher.client.calling import PAGE_SIZE, Caller, moment, raw_json, segment
from dispatcher.client.fields import ConfigFields, EndpointChanges, NewEndpointFields
from dispatcher.client.results import (
    Config,
    Connectivity,
    Endpoint,
    Replay,
    ReplayCount,
    RotatedSecret,
    Secret,
    Stats,
    Trial,
)


class Endpoints:
    """`merchant.endpoints`"""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def list(self, *, page_size: int = PAGE_SIZE) -> Iterator[Endpoint]:
        return self._caller.pages("/endpoints", Endpoint, page_size=page_size)

    def get(self, endpoint: str) -> Endpoint:
        return self._caller.get(_path(endpoint), Endpoint)

    def create(self, url: str, *, idempotency_key: str | None = None, **fields: Unpack[NewEndpointFields]) -> Endpoint:
        """A new endpoint; the answer holds its `secret` where one was made."""
        return self._caller.post("/endpoints", Endpoint, {"url": url, **fields}, idempotency_key=idempotency_key)

    def update(self, endpoint: str, *, if_match: int | None = None, **changes: Unpack[EndpointChanges]) -> Endpoint:
        """Change what is named. `if_match` is the `version` that it must still have, else Stale is raised."""
        return self._caller.patch(_path(endpoint), Endpoint, changes, if_match=if_match)

    def delete(self, endpoint: str, *, if_match: int | None = None) -> None:
        """Deliveries to it stop at once; those that waited are cancelled."""
        self._caller.delete(_path(endpoint), if_match=if_match)

    def secret(self, endpoint: str) -> Secret:
        """The secret that signs now. Each look is written into the audit log."""
        return self._caller.get(f"{_path(endpoint)}/secret", Secret)

    def rotate(
        self,
        endpoint: str,
        *,
        secret: str | None = None,
        overlap_s: int | None = None,
        idempotency_key: str | None = None,
    ) -> RotatedSecret:
        """A new secret, made or given; the old one signs beside it for `overlap_s` seconds, a day by default."""
        given = {"secret": secret, "overlap_seconds": overlap_s}
        body = {name: value for name, value in given.items() if value is not None}
        return self._caller.post(
            f"{_path(endpoint)}/secret/rotate", RotatedSecret, body, idempotency_key=idempotency_key
        )

    def test(
        self,
        endpoint: str,
        *,
        event_type: str | None = None,
        payload: Any = None,
        idempotency_key: str | None = None,
    ) -> Trial:
        """Send a signed test event now; what was sent and what came back. Bytes are sent as they are."""
        body: dict[str, Any] = {} if event_type is None else {"event_type": event_type}
        if payload is not None:
            body["payload"] = raw_json(payload)
        return self._caller.post(f"{_path(endpoint)}/test", Trial, body, idempotency_key=idempotency_key)

    def connectivity(self, endpoint: str) -> Connectivity:
        """Whether anybody answers there; no event is sent."""
        return self._caller.post(f"{_path(endpoint)}/connectivity", Connectivity, {})

    def stats(
        self,
        endpoint: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        bucket: str | None = None,
        event_type: str | None = None,
    ) -> Stats:
        """By default the last 24 hours; `bucket` is `hour` or `day`."""
        query = {"since": since, "until": until, "bucket": bucket, "event_type": event_type}
        return self._caller.get(f"{_path(endpoint)}/stats", Stats, query)

    def recover(self, endpoint: str, *, since: datetime, until: datetime | None = None) -> Replay:
        """Send again what failed. `replays.wait` waits for its end."""
        return self._begin(endpoint, "recover", since, until)

    def replay_missing(self, endpoint: str, *, since: datetime, until: datetime | None = None) -> Replay:
        """Send matching events that were never tried there."""
        return self._begin(endpoint, "replay-missing", since, until)

    def release(self, endpoint: str, *, since: datetime | None = None, until: datetime | None = None) -> Replay:
        """Send what was held while the endpoint was disabled."""
        return self._begin(endpoint, "release", since, until)

    def count_replay(
        self, endpoint: str, kind: str, *, since: datetime | None = None, until: datetime | None = None
    ) -> ReplayCount:
        """How many deliveries a replay would send; `kind` is `recover`, `replay-missing` or `release`."""
        body = {**_window(since, until), "dry_run": True}
        return self._caller.post(f"{_path(endpoint)}/{segment(kind)}", ReplayCount, body)

    def _begin(self, endpoint: str, kind: str, since: datetime | None, until: datetime | None) -> Replay:
        return self._caller.post(f"{_path(endpoint)}/{kind}", Replay, _window(since, until))


class Configuration:
    """`merchant.config`: the primary endpoint, as the merchant API v2 has it."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def get(self) -> Config:
        """Raises NotFound when none is set."""
        return self._caller.get("/config", Config)

    def put(self, url: str, *, if_match: int | None = None, **fields: Unpack[ConfigFields]) -> Config:
        """Make or replace it."""
        return self._caller.put("/config", Config, {"url": url, **fields}, if_match=if_match)

    def delete(self, *, if_match: int | None = None) -> None:
        self._caller.delete("/config", if_match=if_match)


def _path(endpoint: str) -> str:
    return f"/endpoints/{segment(endpoint)}"


def _window(since: datetime | None, until: datetime | None) -> dict[str, datetime]:
    given = {"since": moment(since), "until": moment(until)}
    return {name: value for name, value in given.items() if value is not None}
