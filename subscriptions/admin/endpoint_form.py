"""The form of an endpoint: texts and lists for people, the API's fields for the services."""

import re
from typing import Any

from django import forms

from subscriptions.admin.forms import JsonField, LinesField, MerchantField, ServiceForm
from subscriptions.models import Endpoint
from subscriptions.models.endpoints import MAX_IN_FLIGHT
from subscriptions.selectors import profiles
from subscriptions.services import endpoints
from subscriptions.services.endpoint_auth import NAME_OF, SECRET_OF
from subscriptions.services.endpoint_rules import MOST_RATE

SAME_NAME = ("url", "description", "profile", "accounts", "ack", "rate_limit", "max_in_flight", "ordered")
AUTH = ("auth_type", "auth_name", "auth_secret")
NEW_ONLY = ("owner", "secret")
HEADER_LINE = re.compile(r"\s*([^:\s][^:]*?)\s*:\s*(.*?)\s*")


class HeadersField(LinesField):
    """`Name: value`, one a line, as a dict."""

    def clean(self, value: Any) -> Any:
        headers: dict[str, str] = {}
        for line in super().clean(value):
            match = HEADER_LINE.fullmatch(line)
            if match is None:
                raise forms.ValidationError("Write each header as `Name: value`, one a line.")
            if match[1] in headers:
                raise forms.ValidationError(f"{match[1]} is there twice.")
            headers[match[1]] = match[2]
        return headers

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(f"{name}: {text}" for name, text in value.items()) if isinstance(value, dict) else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(self.clean(data or "") != (initial or {}))
        except forms.ValidationError:
            return True


class WaitsField(forms.CharField):
    """Seconds separated by commas, as a list; nothing is None."""

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        try:
            return [int(part) for part in text.split(",")] if text else None
        except ValueError:
            raise forms.ValidationError("Write seconds separated by commas, e.g. 10, 60, 3600.") from None

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(map(str, value)) if isinstance(value, list) else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(self.prepare_value(initial), data)


class EndpointForm(ServiceForm[Endpoint]):
    """`version` travels with the form, so that of two people who change an endpoint the second is told."""

    owner = MerchantField(help_text="A merchant's id or reference. For good.")
    url = forms.CharField(label="URL", widget=forms.TextInput(attrs={"class": "vLargeTextField"}))
    description = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 2}))
    profile = forms.ChoiceField(initial="default", help_text="The wire format: built-in ones, then the provider's own.")
    event_types = LinesField(required=False, help_text="One a line, `invoice.*` allowed. Nothing: all.")
    accounts = LinesField(required=False, help_text="References, one a line. Nothing: all.")
    auth_type = forms.ChoiceField(label="Type", choices=Endpoint.Auth.choices, initial=Endpoint.Auth.NONE)
    auth_name = forms.CharField(label="Name", required=False, help_text="Of the user (basic) or of the header.")
    auth_secret = forms.CharField(
        label="Credential",
        required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="Password, token or the header's value. Never shown; nothing leaves the stored one.",
    )
    headers = HeadersField(required=False, help_text="`Name: value`, one a line.")
    ack = JsonField(
        required=False,
        label="Acknowledgement rule",
        help_text='Such as {"type": "body_contains", "value": "OK"}. Nothing: the profile\'s.',
    )
    retry_schedule = WaitsField(
        required=False,
        empty_value=None,
        help_text="Seconds before each retry, separated by commas. Nothing: the default.",
    )
    rate_limit = forms.IntegerField(
        required=False, help_text=f"Deliveries a second, at most {MOST_RATE}. Nothing: no limit."
    )
    max_in_flight = forms.IntegerField(initial=MAX_IN_FLIGHT)
    metadata = JsonField(required=False, help_text="An object of texts.")
    secret = forms.CharField(
        label="Signing secret",
        required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="Never shown here. Nothing: one is generated, which the merchant reads in its portal or by the API.",
    )
    version = forms.IntegerField(required=False, widget=forms.HiddenInput)
    is_auth_reset = False
    # The service erased the stored credential.

    fields_of = {
        "/auth": "auth_type",
        **{f"/auth/{name}": "auth_name" for name in NAME_OF.values()},
        **{f"/auth/{name}": "auth_secret" for name in SECRET_OF.values()},
    }

    class Meta:
        model = Endpoint
        fields = ("description", "ordered")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if present := kwargs.get("instance"):
            kwargs["initial"] = _initial(present) | (kwargs.get("initial") or {})
        super().__init__(*args, **kwargs)
        if isinstance(chosen := self.fields.get("profile"), forms.ChoiceField):
            # Read once: a callable would be asked again for each look of the widget at its choices.
            chosen.choices = [(name, name) for name in profiles.names()]
        for name in NEW_ONLY if present else ():
            del self.fields[name]

    def write(self) -> Endpoint:
        given = self._given()
        if self.is_new():
            if self.cleaned_data["secret"]:
                given["secret"] = self.cleaned_data["secret"]
            return endpoints.create(
                merchant=self.cleaned_data["owner"], data=given, now=self.now, actor=self.actor
            ).endpoint
        changed = endpoints.update(
            merchant=self.instance.owner,
            endpoint_id=self.instance.id,
            data=given,
            now=self.now,
            actor=self.actor,
            expected=[self.cleaned_data["version"] or 0],
        )
        self.is_auth_reset = changed.is_auth_reset
        return changed.endpoint

    def _given(self) -> dict[str, Any]:
        """What was changed, in the API's shape."""
        given = self.changed(*SAME_NAME, "headers", "retry_schedule")
        if "event_types" in self.changed_data:
            given["event_types"] = self.cleaned_data["event_types"] or None
        if "metadata" in self.changed_data:
            given["metadata"] = self.cleaned_data["metadata"] or {}
        if self.changed(*AUTH):
            given["auth"] = self._auth()
        if self.is_new():
            given["url"] = self.cleaned_data["url"]
        return given

    def _auth(self) -> dict[str, str]:
        kind = self.cleaned_data["auth_type"]
        auth = {"type": kind}
        if name := NAME_OF.get(kind):
            auth[name] = self.cleaned_data["auth_name"]
        if (member := SECRET_OF.get(kind)) and self.cleaned_data["auth_secret"]:
            auth[member] = self.cleaned_data["auth_secret"]
        return auth


def _initial(endpoint: Endpoint) -> dict[str, Any]:
    """What the form shows of an endpoint. Secrets and credentials are not among it."""
    names = (
        *SAME_NAME[1:],
        "event_types",
        "auth_type",
        "auth_name",
        "headers",
        "retry_schedule",
        "metadata",
        "version",
    )
    return {"url": endpoint.target, "owner": endpoint.owner_id} | {name: getattr(endpoint, name) for name in names}
