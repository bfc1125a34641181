"""This document, and the pages that show it."""

from config.api.openapi.areas.catalogue import UNCHANGED
from config.api.openapi.operations import Answer, Area, Operation

AREA = Area(
    name="Documentation",
    description="This document.",
    operations={
        "GET /api/schema/": Operation(
            id="getSchema",
            summary="This document",
            answers={
                200: Answer(
                    description="OpenAPI 3.1.",
                    schema={
                        "type": "object",
                        "required": ["openapi", "info", "paths", "webhooks", "components"],
                        "properties": {"openapi": {"type": "string", "pattern": r"^3\.1\."}},
                        "additionalProperties": True,
                    },
                    headers=("ETag",),
                    example={"openapi": "3.1.1", "info": {}, "paths": {}, "webhooks": {}, "components": {}},
                ),
                304: UNCHANGED,
            },
        ),
        "GET /api/docs/": Operation(
            id="getDocs",
            summary="This document to browse, without anything from elsewhere",
            answers={
                200: Answer(
                    description="A page.",
                    schema={"type": "string"},
                    content_type="text/html; charset=utf-8",
                    example="<!DOCTYPE html>",
                )
            },
        ),
    },
)
