"""What a delivery in a profile would look like, from the texts in a form: a rendered sample, or what is wrong."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from django import forms
from django.conf import settings

from dispatcher.ack import AckRule
from dispatcher.profiles.declaration import DeclarationError, parse_profile
from dispatcher.profiles.model import Profile, RenderError
from dispatcher.profiles.sample import EVENT_TYPE, PAYLOAD, Sample, render_sample
from dispatcher.strict_json import UnreadableJson, check_json
from subscriptions.admin.profile_form import detail_of, in_words
from subscriptions.models.catalogue import EVENT_TYPE_LENGTH
from subscriptions.selectors import event_types

DEFINITION_LENGTH = 100_000
# Characters. Several times what a definition at all its bounds takes.

MOST_TYPES = 500
# Offered for choice; any other can be typed.


class SampleForm(forms.Form):
    """The event that is rendered. What is left empty is filled in."""

    prefix = "sample"
    event_type = forms.CharField(
        required=False,
        label="Event type",
        max_length=EVENT_TYPE_LENGTH,
        widget=forms.TextInput(attrs={"list": "signet-types", "placeholder": EVENT_TYPE, "autocomplete": "off"}),
    )
    payload = forms.CharField(
        required=False,
        strip=False,
        widget=forms.Textarea(
            attrs={
                "rows": 4,
                "spellcheck": "false",
                "class": "signet-json",
                "placeholder": "Nothing: the example of its type, or an invoice",
            }
        ),
    )
    rotating = forms.BooleanField(required=False, label="While the secret rotates", label_suffix="")


@dataclass(frozen=True, slots=True)
class Fault:
    where: str
    message: str


@dataclass(frozen=True, slots=True)
class Preview:
    """A rendered sample and what follows an answer to it; or, without one, the faults."""

    faults: list[Fault] = field(default_factory=list)
    sample: Sample | None = None
    ack: AckRule | None = None
    waits_s: tuple[int, ...] = ()
    stop_statuses: tuple[int, ...] = ()

    @property
    def body(self) -> str:
        return self.sample.body.decode(errors="replace") if self.sample else ""


def make_preview(definition: str, sample: Mapping[str, str]) -> Preview:
    """`sample` is what was sent of a SampleForm."""
    form = SampleForm(sample)
    if not form.is_valid():
        return Preview([Fault("Sample", str(error)) for errors in form.errors.values() for error in errors])
    try:
        profile = _read_profile(definition)
        payload = _read_payload(form.cleaned_data["payload"], form.cleaned_data["event_type"])
        rendered = render_sample(
            profile,
            payload=payload,
            event_type=form.cleaned_data["event_type"] or EVENT_TYPE,
            is_rotating=form.cleaned_data["rotating"],
        )
    except DeclarationError as trouble:
        return Preview([Fault(in_words(pointer), message) for pointer, message in trouble.faults])
    except _Unreadable as trouble:
        return Preview([trouble.fault])
    except RenderError as trouble:
        return Preview([Fault("Sample", f"This event cannot be sent in this format. {trouble}")])
    return Preview(
        sample=rendered,
        ack=profile.ack,
        waits_s=profile.retry.waits(settings.RETRY_SCHEDULE),
        stop_statuses=tuple(sorted(profile.retry.stop_statuses)),
    )


class _Unreadable(ValueError):
    def __init__(self, where: str, message: str) -> None:
        super().__init__(message)
        self.fault = Fault(where, message)


def _read_profile(text: str) -> Profile:
    if len(text) > DEFINITION_LENGTH:
        raise _Unreadable("Definition", f"This has more than {DEFINITION_LENGTH} characters.")
    try:
        return parse_profile("preview", check_json(text.encode(errors="replace")))
    except UnreadableJson as trouble:
        raise _Unreadable("Definition", detail_of(trouble, "text")) from None


def _read_payload(text: str, event_type: str) -> bytes:
    """The very bytes that were typed, as a publisher's would be sent; else the type's example."""
    if not text.strip():
        return _example_of(event_type)
    payload = text.strip().encode(errors="replace")
    if len(payload) > settings.PAYLOAD_MAX_BYTES:
        raise _Unreadable("Payload", f"A payload has at most {settings.PAYLOAD_MAX_BYTES} bytes.")
    try:
        check_json(payload)
    except UnreadableJson as trouble:
        raise _Unreadable("Payload", detail_of(trouble, "payload")) from None
    return payload


def _example_of(event_type: str) -> bytes:
    example = event_types.on_offer().filter(name=event_type).values_list("example", flat=True).first()
    return PAYLOAD if example is None else json.dumps(example, ensure_ascii=False, separators=(",", ":")).encode()
