"""How deliveries went, in figures."""

from config.api.openapi.areas.endpoints import ONE
from config.api.openapi.areas.log import EVENT_TYPE, SINCE, TYPE_NAME, UNTIL
from config.api.openapi.operations import Answer, Area, Operation, Parameter
from config.api.openapi.schemas import an_id, choice, flag, list_of, moment, number, or_null, record, ref, whole
from deliveries.api.stats_views import PERCENTILES
from deliveries.selectors.statistics import Bucket
from dispatcher.ids import Prefix

FIGURES = {
    "attempts": whole(12),
    "delivered": whole(10),
    "failed": whole(1),
    "success_ratio": or_null(number(0.909091, "Of the deliveries that came to an end.")),
    "latency_ms": record({name: or_null(number(84.5)) for name in PERCENTILES}),
}
STATISTICS = record(
    {
        "since": moment("Widened to a whole hour.", example="2026-01-30T12:00:00Z"),
        "until": moment("Widened to a whole hour."),
        "bucket": choice(Bucket),
        "endpoint_id": or_null(an_id(Prefix.ENDPOINT), is_null=True),
        "event_type": or_null(TYPE_NAME, is_null=True),
        "totals": record(
            {
                **FIGURES,
                "pending": whole(2),
                "is_pending_exact": flag("Else there are at least so many.", example=True),
                "held": whole(0),
                "is_held_exact": flag(example=True),
            }
        ),
        "series": list_of(record({"start": moment(), **FIGURES})),
        "event_types": list_of(record({"event_type": TYPE_NAME | {"examples": ["invoice.paid"]}, **FIGURES})),
    }
)
QUERY = (
    SINCE,
    UNTIL,
    Parameter(name="bucket", schema={"type": "string", "enum": [bucket.value for bucket in Bucket]}),
    EVENT_TYPE,
)

AREA = Area(
    name="Statistics",
    description="Totals, success ratio, latencies and their course, by default of the last 24 hours.",
    schemas={"Statistics": STATISTICS},
    operations={
        "GET /api/v2/webhooks/stats": Operation(
            id="getStatistics",
            summary="Of all the merchant's endpoints, deleted ones included",
            query=QUERY,
            answers={200: Answer(description="The figures.", schema=ref("Statistics"))},
        ),
        f"GET {ONE}/stats": Operation(
            id="getEndpointStatistics",
            summary="Of one endpoint, which may be deleted",
            query=QUERY,
            answers={200: Answer(description="The figures.", schema=ref("Statistics"))},
        ),
    },
)
