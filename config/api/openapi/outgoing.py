"""The outgoing deliveries of every built-in profile: from the profile's data, each with a sample that was rendered."""

import json
from typing import Any
from urllib.parse import parse_qsl

from config.api.openapi.schemas import Schema, told
from dispatcher.profiles.bodies import JSON, content_type
from dispatcher.profiles.catalogue import PROFILES
from dispatcher.profiles.model import Profile
from dispatcher.profiles.sample import Sample, render_sample

NO_PARAMETER = frozenset({"content-type", "content-length", "accept", "authorization"})
# OpenAPI says these elsewhere; parameters of such names are ignored.


def webhooks() -> dict[str, Schema]:
    """The `webhooks` of the document, by profile."""
    return {name: {"post": _operation(profile)} for name, profile in PROFILES.items()}


def _operation(profile: Profile) -> Schema:
    sample = render_sample(profile)
    return {
        "operationId": f"deliver-{profile.name}",
        "summary": f"A delivery in the profile {profile.name}",
        "description": _description(profile, sample),
        "parameters": [
            _header(profile, name, value) for name, value in sample.headers if name.lower() not in NO_PARAMETER
        ],
        "requestBody": {
            "required": True,
            "content": {content_type(profile.body): {"schema": _schema(profile, sample), "example": _example(sample)}},
        },
        "responses": {
            "2XX": {"description": f"Received, if the answer does {profile.ack}."},
            "default": {"description": _otherwise(profile)},
        },
        "security": [],
    }


def _description(profile: Profile, sample: Sample) -> str:
    signed = [f"`{item.name}`: {item.algorithm} over `{item.message}`, {item.encoding}" for item in profile.signatures]
    keys = {item.signer for item in profile.signatures}
    lines = [f"Source: {profile.source}.", *signed]
    if "provider" in keys:
        lines.append("Signed with the provider's key: see `GET /.well-known/webhook-keys`.")
    if sample.secrets:
        lines.append(f"The example is signed with the secret `{sample.secrets[0]}`.")
    return "\n\n".join(lines)


def _otherwise(profile: Profile) -> str:
    stops = ", ".join(map(str, sorted(profile.retry.stop_statuses)))
    return "Tried again later." + (f" Not after {stops}." if stops else "")


def _header(profile: Profile, name: str, value: str) -> Schema:
    """Signatures are absent where an endpoint has no secret."""
    is_signature = any(item.place == "header" and item.name == name for item in profile.signatures)
    shown = {"name": name, "in": "header", "required": not is_signature, "schema": {"type": "string"}}
    return told({**shown, "example": value}, "Absent without a secret." if is_signature else "")


def _example(sample: Sample) -> Any:
    """As JSON, or as the members of a form."""
    if sample.body[:1] == b"{":
        return json.loads(sample.body)
    return dict(parse_qsl(sample.body.decode(), keep_blank_values=True, strict_parsing=True))


def _schema(profile: Profile, sample: Sample) -> Schema:
    body = profile.body
    fields = [item.name for item in profile.signatures if item.place == "field"]
    if body.kind == "raw":
        return {"description": "The payload, byte for byte as it was published."}
    if body.kind == "form":
        members = {"additionalProperties": {"type": "string"}, "description": "The payload's members, in order."}
        return {"type": "object", "required": fields, **members}
    if body.kind == "b64url_form":
        encoded = told({"type": "string", "contentEncoding": "base64url"}, "The payload's members as a query string.")
        texts = {name: {"type": "string"} for name in fields}
        return {"type": "object", "properties": {body.field: encoded, **texts}, "required": [body.field]}
    if not content_type(body).startswith((JSON, "application/cloudevents+json")):
        return {}
    return _of_template(json.loads(body.template), json.loads(sample.body))


def _of_template(template: Any, rendered: Any) -> Schema:
    """The rule of a part of a template, with the types of what it was rendered to."""
    if isinstance(template, dict):
        known = rendered if isinstance(rendered, dict) else {}
        return {
            "type": "object",
            "properties": {name: _of_template(part, known.get(name)) for name, part in template.items()},
            "required": [name for name, part in template.items() if not _may_be_absent(part)],
        }
    if not isinstance(template, str) or "{" not in template:
        return {"const": template}
    if template.startswith("{payload"):
        return told({}, "The payload." if template == "{payload}" else f"From the payload: `{template.strip('{}')}`.")
    return _of_type(rendered)


def _may_be_absent(part: Any) -> bool:
    return isinstance(part, str) and part.endswith("?}")


def _of_type(value: Any) -> Schema:
    match value:
        case bool():
            return {"type": "boolean"}
        case int():
            return {"type": "integer"}
        case _:
            return {"type": "string"}
