"""A merchant's log as a file, and contents that are taken out of the log."""

from config.api.openapi.areas.endpoint_fields import PAGING
from config.api.openapi.operations import Answer, Area, Body, Operation
from config.api.openapi.schemas import (
    MOMENT,
    an_id,
    choice,
    list_of,
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
from deliveries.api import export_views, expunge_views
from deliveries.models import Export, Expunge
from deliveries.selectors.log_files import INCLUDABLE
from dispatcher.ids import Prefix

EXPORT = record(
    {
        "id": an_id(Prefix.EXPORT),
        "format": choice(Export.Format.values),
        "include": list_of(choice(INCLUDABLE)),
        "status": choice(Export.Status.values),
        "stop_reason": or_null(
            text("too_large", "`too_large`, or `expunged`: contents that it held were taken away."), is_null=True
        ),
        "since": moment(),
        "until": moment(),
        "deliveries": whole(1200, "Those that are in the file so far."),
        "size_bytes": whole(245_760, "Of the file so far."),
        "progress": number(0.25, "From 0 to 1.") | {"maximum": 1},
        "file": or_null(text("/api/v2/webhooks/exports/exp_…/file", "Once it is finished."), is_null=True),
        "created_at": moment(),
        "finished_at": or_null(moment(), is_null=True),
        "expires_at": or_null(moment("When the file goes."), is_null=True),
    }
)
EXPUNGE = record(
    {
        "id": an_id(Prefix.EXPUNGE),
        "merchant": an_id(Prefix.MERCHANT),
        "event": or_null(an_id(Prefix.EVENT), is_null=True),
        "account": or_null(text("acc-1001")),
        "status": choice(Expunge.Status.values),
        "events_expunged": whole(12, "Events whose contents are gone."),
        "events_in_flight": whole(0, "Events that are on their way to a receiver; they follow when they have arrived."),
        "deliveries_cancelled": whole(1, "Deliveries that will not be sent because of it."),
        "progress": number(0.25, "From 0 to 1.") | {"maximum": 1},
        "created_at": moment(),
        "finished_at": or_null(moment(), is_null=True),
    }
)
_EXPORT_WORDS = {
    "since": "Deliveries from then on. By default from the first there is.",
    "until": "Deliveries before then. By default all there are.",
    "include": "What each delivery is shown with. By default neither.",
}
_GONE = {409: ("export_running", "export_gone")}
BASE = "/api/v2/webhooks/exports"
EXPUNGES = "/api/v2/expunges"
FILE_WORDS = (
    "Honours `Range` (one range of bytes) and `If-Range`, so that a download that broke off goes on. A CSV file begins "
    "with a line of names; a text that a spreadsheet would take for a formula has an apostrophe in front."
)

AREA = Area(
    name="Privacy",
    description="The log as a file, for its merchant; and contents that the provider takes out of the log for good.",
    schemas={
        "Export": EXPORT,
        "ExportPage": page_of(ref("Export")),
        "Expunge": EXPUNGE,
        "ExpungePage": page_of(ref("Expunge")),
    },
    operations={
        f"GET {BASE}": Operation(
            id="listExports",
            summary="All exports, newest first",
            query=PAGING,
            answers={200: Answer(description="A page.", schema=ref("ExportPage"))},
        ),
        f"POST {BASE}": Operation(
            id="beginExport",
            summary="Have the log written into a file",
            body=Body(
                schema=request(export_views.SHAPE, required=("format",), say=_EXPORT_WORDS),
                examples={
                    "everything": {"format": "ndjson", "include": ["attempts", "payloads"]},
                    "a month": {"format": "csv", "since": "2026-01-01T00:00:00Z", "until": MOMENT},
                },
            ),
            is_idempotent=True,
            answers={
                202: Answer(
                    description="It is under way.",
                    schema=ref("Export"),
                    headers=("Location",),
                    gives={"export": "$response.body#/id"},
                )
            },
            refusals={409: ("too_many_exports",)},
        ),
        f"GET {BASE}/{{export}}": Operation(
            id="getExport",
            summary="How far an export is",
            answers={200: Answer(description="It.", schema=ref("Export"))},
        ),
        f"DELETE {BASE}/{{export}}": Operation(
            id="deleteExport",
            summary="Drop an export with its file",
            answers={204: Answer(description="It is gone.")},
        ),
        f"GET {BASE}/{{export}}/file": Operation(
            id="getExportFile",
            summary="The file",
            description=FILE_WORDS,
            answers={
                status: Answer(
                    description=description,
                    schema={"type": "string"},
                    content_type=export_views.CONTENT_TYPES[Export.Format.CSV],
                    or_as=(export_views.CONTENT_TYPES[Export.Format.NDJSON],),
                    headers=("ETag",),
                    example="event_id,delivery_id,…\r\n",
                )
                for status, description in ((200, "The whole."), (206, "The part that was asked for."))
            },
            refusals={**_GONE, 416: ("range_not_satisfiable",)},
        ),
        "POST /api/v2/events/{event}/expunge": Operation(
            id="expungeEvent",
            summary="Take an event's contents out of the log for good",
            description="Payload, requests, answers and header values go; that there was an event stays. What still "
            "waits is cancelled. An event that is being sent just now is expunged when it has arrived.",
            body=Body(schema=request(expunge_views.NOTHING), examples={"nothing": {}}, is_optional=True),
            is_idempotent=True,
            answers={
                202: Answer(
                    description="It is done, or under way.",
                    schema=ref("Expunge"),
                    headers=("Location",),
                    gives={"expunge": "$response.body#/id"},
                )
            },
        ),
        "POST /api/v2/merchants/{merchant}/expunge": Operation(
            id="expungeAccount",
            summary="The same for all events of one of the merchant's accounts",
            body=Body(
                schema=request(expunge_views.ACCOUNT, required=("account",)),
                examples={"an account": {"account": "acc-1001"}},
            ),
            is_idempotent=True,
            answers={
                202: Answer(
                    description="It is under way.",
                    schema=ref("Expunge"),
                    headers=("Location",),
                    gives={"expunge": "$response.body#/id"},
                )
            },
        ),
        f"GET {EXPUNGES}": Operation(
            id="listExpunges",
            summary="All expunges, newest first",
            query=PAGING,
            answers={200: Answer(description="A page.", schema=ref("ExpungePage"))},
        ),
        f"GET {EXPUNGES}/{{expunge}}": Operation(
            id="getExpunge",
            summary="How far an expunge is",
            answers={200: Answer(description="It.", schema=ref("Expunge"))},
        ),
    },
)
