"""Forms whose validation is the services' own."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar
from uuid import UUID

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import ForeignKeyRawIdWidget
from django.db.models import Model
from django.urls import reverse

from dispatcher.ids import Prefix, show
from dispatcher.keyring import DecryptionFailed
from dispatcher.strict_json import UnreadableJson, check_json
from subscriptions.errors import Invalid, Refusal
from subscriptions.models import Account, Merchant
from subscriptions.selectors import merchants

M = TypeVar("M", bound=Model)

if TYPE_CHECKING:
    ModelForm = forms.ModelForm
else:

    class ModelForm(forms.ModelForm):
        """Takes a type parameter, which Django's own does for type checkers only."""

        def __class_getitem__(cls, _model: type[Model]) -> type["ModelForm"]:
            return cls


class ServiceForm(ModelForm[M]):
    """Written by being validated: a service checks and writes in one step, so its refusals become this form's errors.

    The admin validates a form once, inside the transaction of the request; if anything fails afterwards, all is undone.
    """

    actor: str
    now: datetime
    fields_of: ClassVar[Mapping[str, str]] = {}
    # From a JSON pointer in a refusal to the field that it is about, where the two differ.

    def is_new(self) -> bool:
        return self.instance._state.adding  # noqa: SLF001 - documented by Django

    def write(self) -> M:
        """Call the service. `cleaned_data` holds the fields, `changed_data` the names of those that were changed."""
        raise NotImplementedError

    def _post_clean(self) -> None:
        if self.errors or (not self.is_new() and not self.changed_data):
            return
        try:
            self.instance = self.write()
        except Invalid as refusal:
            for fault in refusal.errors:
                self._tell(fault.pointer, fault.message)
        except Refusal as refusal:
            self.add_error(None, refusal.detail)
        except DecryptionFailed:
            self.add_error(None, "A stored secret cannot be opened: is its key missing in ENCRYPTION_KEYS?")

    def _tell(self, pointer: str, message: str) -> None:
        """An item in a field is named in front of what is wrong with it."""
        name, _, item = pointer.removeprefix("/").partition("/")
        field = self.fields_of.get(pointer) or self.fields_of.get(f"/{name}") or name
        is_known = field in self.fields
        label = f"{self._item(field, item)}: " if item and pointer not in self.fields_of else ""
        self.add_error(field if is_known else None, label + message)

    def _item(self, field: str, name: str) -> str:
        """An item of a list by its text rather than its place."""
        given = self.cleaned_data.get(field)
        return str(given[int(name)]) if isinstance(given, list) and name.isdecimal() else name

    def save(self, commit: bool = True) -> M:  # noqa: ARG002, FBT001, FBT002
        """The service has saved it."""
        return self.instance

    def save_m2m(self) -> None:
        """The admin calls it after `save`."""

    def changed(self, *names: str) -> dict[str, Any]:
        """The given values of those of the fields that were changed."""
        return {name: self.cleaned_data[name] for name in names if name in self.changed_data}


class MerchantWidget(ForeignKeyRawIdWidget):
    """A text beside a magnifying glass that opens the list of merchants."""

    def __init__(self) -> None:
        super().__init__(Account._meta.get_field("merchant").remote_field, admin.site)

    def label_and_url_for_value(self, value: Any) -> tuple[str, str]:
        merchant = _find(str(value))
        if merchant is None:
            return "", ""
        return merchant.name, reverse("admin:subscriptions_merchant_change", args=[merchant.id])


class MerchantField(forms.CharField):
    """A living merchant by its id, the provider's reference, or what the list's window puts in."""

    widget = MerchantWidget

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if not text:
            return None
        merchant = _find(text)
        if merchant is None:
            raise forms.ValidationError("There is no such merchant.")
        return merchant

    def prepare_value(self, value: Any) -> Any:
        return show(Prefix.MERCHANT, value) if isinstance(value, UUID) else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(self.prepare_value(initial), data)


def _find(text: str) -> Merchant | None:
    try:
        return merchants.living().filter(id=UUID(text)).first()
    except ValueError:
        return merchants.find(text)


class JsonField(forms.CharField):
    """JSON as the API takes it; nothing is null."""

    widget = forms.Textarea

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if not text:
            return None
        try:
            return check_json(text.encode())
        except (UnreadableJson, UnicodeEncodeError) as trouble:
            raise forms.ValidationError(getattr(trouble, "detail", "This is not JSON.")) from None

    def prepare_value(self, value: Any) -> Any:
        if value is None or isinstance(value, str):
            return value
        return json.dumps(value, indent=2, ensure_ascii=False)

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(self.clean(data) != initial)
        except forms.ValidationError:
            return True


class LinesField(forms.CharField):
    """One item a line; empty lines do not count."""

    widget = forms.Textarea

    def clean(self, value: Any) -> Any:
        return [line.strip() for line in super().clean(value).splitlines() if line.strip()]

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(map(str, value)) if isinstance(value, list) else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(self.clean(data or "") != (initial or []))
