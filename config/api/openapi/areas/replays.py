"""Sending many deliveries again, and how far that is."""

from config.api.openapi.areas.endpoint_fields import PAGING
from config.api.openapi.areas.endpoints import ONE
from config.api.openapi.areas.log import ENDPOINT
from config.api.openapi.operations import Answer, Area, Body, Operation
from config.api.openapi.schemas import (
    MOMENT,
    an_id,
    choice,
    flag,
    moment,
    number,
    or_null,
    page_of,
    record,
    ref,
    request,
    text,
    whole,
)
from deliveries.api import replay_views
from deliveries.models import Replay
from dispatcher.ids import Prefix

_WORDS = {
    "since": "Deliveries or events from then on.",
    "until": "By default now.",
    "dry_run": "Only count.",
}
REPLAY = record(
    {
        "id": an_id(Prefix.REPLAY),
        "kind": choice(Replay.Kind.values),
        "endpoint": an_id(Prefix.ENDPOINT),
        "status": choice(Replay.Status.values),
        "stop_reason": or_null(text("stopped"), is_null=True),
        "since": moment(),
        "until": moment(),
        "sent": whole(12, "Deliveries that were made due so far."),
        "progress": number(0.25, "From 0 to 1.") | {"maximum": 1},
        "created_at": moment(),
        "finished_at": or_null(moment(), is_null=True),
    }
)
COUNT = record({"count": whole(12), "is_exact": flag("Else there are at least so many.", example=True)})
BASE = "/api/v2/webhooks/replays"


def _begin(operation_id: str, summary: str, *, is_release: bool = False) -> Operation:
    shape = replay_views.RELEASE_SHAPE if is_release else replay_views.SHAPE
    examples: dict[str, dict[str, object]] = {
        "since": {"since": MOMENT},
        "count only": {"since": MOMENT, "dry_run": True},
    }
    return Operation(
        id=operation_id,
        summary=summary,
        body=Body(
            schema=request(shape, required=() if is_release else ("since",), say=_WORDS),
            examples=examples | ({"everything": {}} if is_release else {}),
            is_optional=is_release,
        ),
        is_idempotent=True,
        answers={
            200: Answer(description="How many there are, for a `dry_run`.", schema=ref("ReplayCount")),
            202: Answer(
                description="It is under way.",
                schema=ref("Replay"),
                headers=("Location",),
                gives={"replay": "$response.body#/id"},
            ),
        },
        refusals={409: ("replay_running", "endpoint_closed")},
    )


AREA = Area(
    name="Replays",
    description="Sending again what failed, what is held, or what an endpoint was never sent; in bounded steps.",
    schemas={"Replay": REPLAY, "ReplayPage": page_of(ref("Replay")), "ReplayCount": COUNT},
    operations={
        f"POST {ONE}/recover": _begin("recover", "Send again what failed"),
        f"POST {ONE}/replay-missing": _begin("replayMissing", "Send matching events that never went there"),
        f"POST {ONE}/release": _begin("release", "Send what is held", is_release=True),
        f"GET {BASE}": Operation(
            id="listReplays",
            summary="All replays, newest first",
            query=(*PAGING, ENDPOINT),
            answers={
                200: Answer(
                    description="A page.",
                    schema=ref("ReplayPage"),
                )
            },
        ),
        f"GET {BASE}/{{replay}}": Operation(
            id="getReplay",
            summary="How far a replay is",
            answers={200: Answer(description="It.", schema=ref("Replay"))},
        ),
        f"POST {BASE}/{{replay}}/stop": Operation(
            id="stopReplay",
            summary="Stop a replay; one that is over stays as it is",
            answers={200: Answer(description="As it is now.", schema=ref("Replay"))},
        ),
    },
)
