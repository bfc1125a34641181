"""What the bare framework does for a publish: a plain Django view that parses the JSON and commits one row.

No middleware, no key, no fan-out, no doorbell, no ORM: one INSERT into the table of events.
"""

import json
from datetime import UTC, datetime

from django.conf import settings

from config.environment import CONNECTION_AGE_S, Env, database

ENV = Env()
DATABASE = database(ENV) | {"CONN_MAX_AGE": CONNECTION_AGE_S, "CONN_HEALTH_CHECKS": False}

settings.configure(
    DEBUG=False,
    SECRET_KEY=ENV.text("SECRET_KEY"),
    ALLOWED_HOSTS=["127.0.0.1"],
    DATABASES={"default": DATABASE},
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    LOGGING_CONFIG=None,
)

from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import connection  # noqa: E402
from django.http import HttpRequest, JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402

from dispatcher.ids import new_id  # noqa: E402

INSERT = """
INSERT INTO deliveries_event (id, merchant_id, type, payload, is_test, occurred_at, created_at)
VALUES (%s, %s, %s, %s, FALSE, %s, %s)
"""
MERCHANT = new_id()


def publish(request: HttpRequest) -> JsonResponse:
    body = json.loads(request.body)
    event_id, now = new_id(), datetime.now(UTC)
    with connection.cursor() as cursor:
        cursor.execute(INSERT, [event_id, MERCHANT, body["type"], json.dumps(body["payload"]).encode(), now, now])
    return JsonResponse({"id": str(event_id), "duplicate": False, "deliveries": 0}, status=202)


urlpatterns = [path("api/v2/events", publish)]
application = get_wsgi_application()
