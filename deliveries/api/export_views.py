"""The merchant has its log written into a file, and fetches it."""

import re
from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response

from deliveries.models import Export
from deliveries.selectors import exports as selectors
from deliveries.selectors.log_files import INCLUDABLE
from deliveries.services import exports
from dispatcher.ids import InvalidId, Prefix, parse
from subscriptions.api import pagination
from subscriptions.api.base import MerchantView
from subscriptions.errors import Conflict, Invalid, NotFound
from subscriptions.services import shapes

SHAPE: shapes.Shape = {
    "format": shapes.choice(Export.Format.values),
    "since": shapes.nullable(shapes.moment),
    "until": shapes.nullable(shapes.moment),
    "include": shapes.list_of(shapes.choice(INCLUDABLE), most=len(INCLUDABLE)),
}
CONTENT_TYPES = {
    Export.Format.CSV: "text/csv; charset=utf-8; header=present",
    Export.Format.NDJSON: "application/x-ndjson; charset=utf-8",
}
_RANGE = re.compile(r"bytes=(?:(?P<first>[0-9]{1,15})-(?P<last>[0-9]{1,15})?|-(?P<suffix>[0-9]{1,15}))")


class RangeNotSatisfiable(APIException):
    """Source: RFC 9110, section 15.5.17."""

    status_code = 416
    default_code = "range_not_satisfiable"
    default_detail = "The file has no such bytes."


class ExportFile(StreamingHttpResponse):
    """A file that may be too large for memory: the web process sends it piece by piece as they come."""

    is_sent_in_pieces = True


class ExportsView(MerchantView):
    """`POST /exports` begins one, 202; `GET /exports` lists them, newest first."""

    def get(self, request: Request) -> Response:
        rows = selectors.of_owner(self.merchant.id)
        scope = f"exports:{self.merchant.id}"
        return Response(pagination.page(rows, query=request.query_params, scope=scope, show=_represent_all))

    def post(self, request: Request) -> Response:  # noqa: ARG002 - the framework's signature, here and below
        return self.create(self._begin)

    def _begin(self) -> Response:
        values, faults = shapes.read(self.read(), SHAPE, required=("format",))
        if faults:
            raise Invalid(*faults)
        begun = exports.begin(
            merchant=self.merchant,
            format=values["format"],
            since=values.get("since"),
            until=values.get("until"),
            include=values.get("include", ()),
            actor=self.actor,
            now=self.now,
        )
        return Response(represent(begun), status=202, headers={"Location": _path(begun)})


class ExportView(MerchantView):
    """`GET /exports/{id}` tells how far it is; `DELETE` drops it with its file."""

    def get(self, request: Request, export: str) -> Response:  # noqa: ARG002
        return Response(represent(selectors.get(_export_id(export), owner_id=self.merchant.id)))

    def delete(self, request: Request, export: str) -> Response:  # noqa: ARG002
        row = selectors.get(_export_id(export), owner_id=self.merchant.id)
        exports.delete(export=row, actor=self.actor, now=self.now)
        return Response(status=204)


class ExportFileView(MerchantView):
    """`GET /exports/{id}/file`: the file, or the part of it that `Range` names."""

    def get(self, request: Request, export: str) -> HttpResponseBase:
        row = selectors.get(_export_id(export), owner_id=self.merchant.id)
        return file_answer(row, method=request.method or "", headers=request.headers)


def file_answer(row: Export, *, method: str, headers: Mapping[str, str]) -> HttpResponseBase:
    """The file, or the part of it that the request's headers ask for. Raises Conflict where there is none, and
    RangeNotSatisfiable."""
    _refuse_unfinished(row)
    answered = {
        "Accept-Ranges": "bytes",
        "ETag": _etag(row),
        "Content-Disposition": f'attachment; filename="deliveries-{row.public_id}.{row.format}"',
        "Content-Type": CONTENT_TYPES[Export.Format(row.format)],
    }
    first, last, status = 0, row.size_bytes - 1, 200
    if (asked := _asked_range(row, headers)) is not None:
        first, last = asked
        status = 206
        answered["Content-Range"] = f"bytes {first}-{last}/{row.size_bytes}"
    answered["Content-Length"] = str(last - first + 1)
    if method == "HEAD" or last < first:
        return HttpResponse(status=status, headers=answered)
    return ExportFile(exports.pieces(row, first=first, last=last), status=status, headers=answered)


def _asked_range(row: Export, headers: Mapping[str, str]) -> tuple[int, int] | None:
    """The first and the last byte of the one range that is asked for; None for the whole. Source: RFC 9110, section 14.

    A header that is not understood asks for nothing. Raises RangeNotSatisfiable.
    """
    found = _RANGE.fullmatch(headers.get("Range", "").replace(" ", ""))
    condition = headers.get("If-Range")
    if found is None or (condition is not None and condition != _etag(row)):
        return None
    end = row.size_bytes - 1
    if found["suffix"] is not None:
        first, last = max(0, row.size_bytes - int(found["suffix"])), end
    else:
        first, last = int(found["first"]), min(end, int(found["last"] or end))
        if found["last"] is not None and int(found["last"]) < first:
            return None
    if first > last:
        raise RangeNotSatisfiable
    return first, last


def _etag(row: Export) -> str:
    """A file that is finished never changes."""
    return f'"{row.id.hex}"'


def _refuse_unfinished(row: Export) -> None:
    if row.status == Export.Status.RUNNING:
        raise Conflict("The file is still being written.", code="export_running")
    if row.status != Export.Status.FINISHED:
        raise Conflict("The file is there no more. Begin another export.", code="export_gone")


def represent(row: Export) -> dict[str, Any]:
    return {
        "id": row.public_id,
        "format": row.format,
        "include": row.include,
        "status": row.status,
        "stop_reason": row.stop_reason or None,
        "since": row.since,
        "until": row.until,
        "deliveries": row.deliveries,
        "size_bytes": row.size_bytes,
        "progress": round(selectors.progress(row), 3),
        "file": f"{_path(row)}/file" if row.status == Export.Status.FINISHED else None,
        "created_at": row.created_at,
        "finished_at": row.finished_at,
        "expires_at": row.expires_at,
    }


def _represent_all(rows: Collection[Export]) -> list[dict[str, Any]]:
    return [represent(row) for row in rows]


def _path(row: Export) -> str:
    return f"/api/v2/webhooks/exports/{row.public_id}"


def _export_id(text: str) -> UUID:
    try:
        return parse(Prefix.EXPORT, text)
    except InvalidId:
        raise NotFound("There is no such export.") from None
