"""The form of a wire format: its JSON as people read it, and every fault in words beside it."""

import json
from collections.abc import Iterable
from typing import Any, get_args

from django import forms
from django.forms.utils import ErrorDict

from dispatcher.profiles.declaration import declare
from dispatcher.profiles.frame import BYTES, JSON_VALUES, TEXTS
from dispatcher.profiles.model import Algorithm, BodyKind, Encoding, KeyDecoding, KeyForm, Profile
from dispatcher.strict_json import UnreadableJson, check_json
from subscriptions.admin.forms import JsonField, ServiceForm
from subscriptions.models import WireProfile
from subscriptions.selectors import profiles as selectors
from subscriptions.services import profiles

WIDTH = 56
# Characters of a line: what the text area shows beside the preview on a screen of 1280 pixels.

PREVIEW = "_preview"
# The button that only shows; for browsers without scripts.

SINGULAR = {"signatures": "Signature", "headers": "Header"}


def editable(profile: Profile) -> dict[str, Any]:
    """The declaration with the body's template as JSON rather than as JSON in a text, where that says the same."""
    declared = declare(profile)
    if text := declared["body"].get("template"):
        template = json.loads(text)
        if not isinstance(template, str):
            declared["body"]["template"] = template
    return declared


def laid_out(value: Any, *, indent: str = "", lead: str = "") -> str:
    """JSON on one line where it fits behind its `lead`, else an item or member a line. The whole never is one line."""
    flat = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or not value or (indent and len(indent + lead + flat) <= WIDTH):
        return lead + flat
    deeper = indent + "  "
    if isinstance(value, list):
        items = [laid_out(item, indent=deeper) for item in value]
    else:
        leads = {name: f"{json.dumps(name, ensure_ascii=False)}: " for name in value}
        items = [laid_out(item, indent=deeper, lead=leads[name]) for name, item in value.items()]
    opening, closing = "[]" if isinstance(value, list) else "{}"
    return f"{lead}{opening}\n" + ",\n".join([deeper + item for item in items]) + f"\n{indent}{closing}"


def in_words(pointer: str) -> str:
    """Where a fault is: `/signatures/0/message` is the message of `Signature 1`."""
    words: list[str] = []
    for step in pointer.split("/"):
        name = step.replace("~1", "/").replace("~0", "~")
        if name.isdecimal() and words:
            words[-1] = f"{SINGULAR.get(words[-1], words[-1])} {int(name) + 1}"
        elif name:
            words.append(name)
    return " › ".join(words)  # noqa: RUF001 - the arrow of the admin's own breadcrumbs


def detail_of(trouble: UnreadableJson, name: str) -> str:
    """The sentence with the right `name` of what could not be read: a body is something else here."""
    return trouble.detail.replace("The body", f"The {name}").replace("the body", f"the {name}")


def reference() -> list[tuple[str, list[str]]]:
    """What may stand where, for those who write one: the choices of a member, or the placeholders of a template."""
    texts = [*TEXTS, "url"]
    return [
        ("body › kind", list(get_args(BodyKind))),  # noqa: RUF001 - as in `in_words`, here and below
        ("body › template", _braced([*JSON_VALUES, "payload.member", "payload.member|id", "payload.member?"])),  # noqa: RUF001
        ("headers", _braced(texts)),
        ("signatures › key", list(get_args(KeyDecoding))),  # noqa: RUF001
        ("signatures › algorithm", list(get_args(Algorithm))),  # noqa: RUF001
        ("signatures › encoding", list(get_args(Encoding))),  # noqa: RUF001
        ("signatures › message", _braced([*BYTES, "form_sorted", *texts])),  # noqa: RUF001
        ("signatures › item", _braced(["signature"])),  # noqa: RUF001
        ("signatures › value", _braced(["items", *texts])),  # noqa: RUF001
        ("key_form", list(get_args(KeyForm))),
    ]


def _braced(names: Iterable[str]) -> list[str]:
    return [f"{{{name}}}" for name in names]


class DefinitionField(JsonField):
    """The declaration of a profile; the order of its members counts, as some of them are written to the wire."""

    def clean(self, value: Any) -> Any:
        text = forms.CharField.clean(self, value)
        try:
            return check_json(text.encode())
        except UnreadableJson as trouble:
            raise forms.ValidationError(detail_of(trouble, "text")) from None
        except UnicodeEncodeError:
            raise forms.ValidationError("The text is not Unicode.") from None

    def prepare_value(self, value: Any) -> Any:
        return laid_out(value) if isinstance(value, dict) else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return json.dumps(self.clean(data)) != json.dumps(initial)
        except forms.ValidationError:
            return True


class WireProfileForm(ServiceForm[WireProfile]):
    """`version` travels with the form, so that of two people who change a profile the second is told."""

    description = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 2}))
    definition = DefinitionField(
        help_text="JSON. Placeholders are filled in for each attempt; the preview shows what they become.",
        widget=forms.Textarea(attrs={"rows": 30, "spellcheck": "false", "class": "signet-json"}),
    )
    version = forms.IntegerField(required=False, widget=forms.HiddenInput)

    class Meta:
        model = WireProfile
        fields = ("name", "description")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if present := kwargs.get("instance"):
            kwargs["initial"] = _initial(present) | (kwargs.get("initial") or {})
        super().__init__(*args, **kwargs)

    @property
    def is_preview(self) -> bool:
        return PREVIEW in self.data

    def is_valid(self) -> bool:
        """What is only looked at is never saved; its faults stand in the preview."""
        return not self.is_preview and super().is_valid()

    def full_clean(self) -> None:
        if self.is_preview:
            self._errors, self.cleaned_data = ErrorDict(), {}
        else:
            super().full_clean()

    def write(self) -> WireProfile:
        given = self.changed("description", "definition")
        if self.is_new():
            given |= {"name": self.cleaned_data["name"], "definition": self.cleaned_data["definition"]}
            return profiles.create(data=given, now=self.now, actor=self.actor)
        return profiles.update(
            name=self.instance.name,
            data=given,
            now=self.now,
            actor=self.actor,
            expected=[self.cleaned_data["version"] or 0],
        )

    def _item(self, field: str, name: str) -> str:
        return in_words(name) if field == "definition" else super()._item(field, name)


def _initial(row: WireProfile) -> dict[str, Any]:
    """What cannot be read any more is shown as it is stored."""
    parsed = selectors.read(row)
    return {"definition": editable(parsed) if parsed else row.definition, "version": row.version}
