"""The payment gateway: user name and password, and the shape of the body. Nothing is signed."""

import base64
import json
from datetime import datetime

from tests.verifiers.delivered import Delivered, require, require_same


def verify(request: Delivered) -> None:
    """`secret` is `user:password`."""
    scheme, _, credentials = request.header("Authorization").partition(" ")
    require(scheme == "Basic", "the scheme is not Basic")
    require_same(request.secret, base64.b64decode(credentials, validate=True).decode())
    body = json.loads(request.body)
    require({"type", "timestamp", "data"} <= set(body), "the body lacks something")
    require(set(body) <= {"type", "dataType", "timestamp", "data", "changed"}, "the body has unknown members")
    require(body.get("dataType") in {"Transaction", "Object"}, "the kind of data is unknown")
    require(datetime.fromisoformat(body["timestamp"]).utcoffset() is not None, "the timestamp has no offset")
    if body["type"].endswith("-modified"):
        require(all(isinstance(name, str) for name in body["changed"]), "the changed fields are not named")
    else:
        require("changed" not in body, "nothing can have changed")
