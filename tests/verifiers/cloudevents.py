"""CloudEvents 1.0.2 in structured JSON, signed as Standard Webhooks."""

import json
import re
from datetime import datetime
from urllib.parse import urlsplit

from tests.verifiers import standard
from tests.verifiers.delivered import Delivered, require

REQUIRED = ("id", "source", "type")
ATTRIBUTE_NAME = re.compile("[a-z0-9]{1,20}")


def verify(request: Delivered) -> None:
    """The signature; then sections 3.1 of the JSON event format, and 2.1 and 3.1 of the core specification."""
    standard.verify_by_standardwebhooks(request)
    media_type, _, parameters = request.header("Content-Type").partition(";")
    require(media_type == "application/cloudevents+json", "the media type is another one")
    require(parameters.strip().lower() in {"", "charset=utf-8"}, "the charset is another one")
    event = json.loads(request.body)
    require(event["specversion"] == "1.0", "the version is another one")
    for name in REQUIRED:
        require(isinstance(event[name], str) and event[name] != "", f"{name} is missing or empty")
    require(urlsplit(event["source"]).geturl() == event["source"], "the source is no URI reference")
    require(datetime.fromisoformat(event["time"]).utcoffset() is not None, "the time has no offset")
    require("data" in event and "data_base64" not in event, "there are no data, or twice")
    require(all(ATTRIBUTE_NAME.fullmatch(name) for name in event if name != "data"), "an attribute's name is not one")
