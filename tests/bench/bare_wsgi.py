"""What the bare frameworks do for a publish: a view of Django REST framework, and a plain one of Django, that parse the
JSON and commit one row.

No middleware, no key, no fan-out, no doorbell, no ORM: one INSERT into the table of events.
"""

import json
from datetime import UTC, datetime
from typing import Any

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
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": [],
        "DEFAULT_PERMISSION_CLASSES": [],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
        "UNAUTHENTICATED_USER": None,
    },
)

from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import connection  # noqa: E402
from django.http import HttpRequest, JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402
from rest_framework.request import Request  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.views import APIView  # noqa: E402

from dispatcher.ids import new_id  # noqa: E402

INSERT = """
INSERT INTO deliveries_event (id, merchant_id, type, payload, is_test, occurred_at, created_at)
VALUES (%s, %s, %s, %s, FALSE, %s, %s)
"""
MERCHANT = new_id()


def plain(request: HttpRequest) -> JsonResponse:
    return JsonResponse(_insert(json.loads(request.body)), status=202)


class FrameworkView(APIView):
    """The same as the framework's tutorial would have it."""

    def post(self, request: Request) -> Response:
        return Response(_insert(request.data), status=202)


def _insert(body: Any) -> dict[str, Any]:
    event_id, now = new_id(), datetime.now(UTC)
    with connection.cursor() as cursor:
        cursor.execute(INSERT, [event_id, MERCHANT, body["type"], json.dumps(body["payload"]).encode(), now, now])
    return {"id": str(event_id), "duplicate": False, "deliveries": 0}


urlpatterns = [path("plain/events", plain), path("framework/events", FrameworkView.as_view())]
application = get_wsgi_application()
