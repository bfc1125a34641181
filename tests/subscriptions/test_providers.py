"""Ready catalogues: every example fits its schema, and loading one may be repeated without harm."""

import json
import re
from io import StringIO
from typing import Any

import jsonschema_rs
import pytest
from django.core.management import CommandError, call_command

from dispatcher.profiles.catalogue import PROFILES
from dispatcher.profiles.engine import KEY_FAMILIES
from subscriptions.models import AuditEntry, EventType, ProviderKey
from subscriptions.models.catalogue import EVENT_TYPE_LENGTH, EVENT_TYPE_PATTERN
from subscriptions.providers import PROVIDERS, CatalogueType

EVERY_TYPE = [type_ for provider in PROVIDERS.values() for type_ in provider.types]
GATEWAY = {
    *(f"processing.{what}-processed" for what in ("return", "noc", "chargeback", "reversal")),
    *(f"billing.{what}-{verb}" for what in ("payment-option", "subscription") for verb in ("created", "modified")),
    *(f"billing.{what}-created" for what in ("transaction", "allocation")),
    *(f"management.{what}-{verb}" for what in ("merchant", "terminal") for verb in ("created", "modified")),
}


def validator(type_: CatalogueType) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(dict(type_.schema), validate_formats=True)


def type_named(name: str) -> CatalogueType:
    return next(type_ for type_ in EVERY_TYPE if type_.name == name)


@pytest.mark.parametrize("type_", EVERY_TYPE, ids=lambda type_: type_.name)
def test_every_example_fits_its_schema(type_: CatalogueType) -> None:
    jsonschema_rs.meta.validate(dict(type_.schema))
    validator(type_).validate(dict(type_.example))
    assert type_.schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert type_.group
    assert type_.description.endswith(".")
    assert json.loads(json.dumps(type_.example)) == type_.example


@pytest.mark.parametrize("type_", EVERY_TYPE, ids=lambda type_: type_.name)
def test_no_schema_takes_a_payload_without_what_it_requires(type_: CatalogueType) -> None:
    check = validator(type_)
    for name in type_.schema["required"]:
        assert not check.is_valid({key: value for key, value in type_.example.items() if key != name}), name
    assert not check.is_valid({})
    assert not check.is_valid([type_.example])


def test_names_are_valid_and_no_two_systems_share_one() -> None:
    names = [type_.name for type_ in EVERY_TYPE]

    assert len(set(names)) == len(names)
    assert all(re.fullmatch(EVENT_TYPE_PATTERN, name) and len(name) <= EVENT_TYPE_LENGTH for name in names)


def test_the_five_systems_have_the_types_that_they_publish() -> None:
    names = {name: {type_.name for type_ in provider.types} for name, provider in PROVIDERS.items()}

    assert list(names) == ["paysera", "paysafe", "paisr", "gateway", "card"]
    assert names["gateway"] == GATEWAY
    assert len(GATEWAY) == 14
    assert names["card"] == {"card_transaction", "account_transaction", "account_topup", "card_state"}
    assert len(names["paysera"]) == 5
    assert names["paysafe"] >= {"PAYMENT_HANDLE_PAYABLE", "PAYMENT_COMPLETED", "PAYMENT_FAILED"}
    assert names["paisr"] >= {"invoice.paid", "customer.created", "transfer.inbound", "subscription.cancelled"}


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=lambda provider: provider.name)
def test_the_named_keys_are_those_that_the_formats_sign_with(provider: Any) -> None:
    signatures = [
        signature
        for name in (provider.profile, *provider.other_profiles)
        for signature in PROFILES[name].signatures
        if signature.signer == "provider"
    ]

    assert {KEY_FAMILIES[signature.algorithm] for signature in signatures} == set(provider.key_families)
    assert provider.source


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("payment.incoming", {"credit": 0}),
        ("payment.incoming", {"amount": "-1.00"}),
        ("payment.incoming", {"amount": "1,00"}),
        ("payment.incoming", {"beneficiary_name": "not of this direction"}),
        ("payment.incoming", {"anything": "else"}),
        ("payment.outgoing", {"type": "HO"}),
        ("exchange.completed", {"credit": 1}),
        ("statement.other", {"credit": 2}),
        ("PAYMENT_COMPLETED", {"status": "FAILED"}),
        ("PAYMENT_COMPLETED", {"amount": 29.99}),
        ("PAYMENT_COMPLETED", {"links": [{"rel": "payment"}]}),
        ("invoice.paid", {"id": 123_456}),
        ("invoice.paid", {"id": ""}),
        ("processing.return-processed", {"dataType": "Object"}),
        ("billing.transaction-created", {"dataType": "Transaction"}),
        ("billing.subscription-modified", {"changed": []}),
        ("billing.subscription-modified", {"changed": ["status", "status"]}),
        ("card_transaction", {"amount": 50.0}),
        ("card_transaction", {"createdAt": "yesterday"}),
        ("card_state", {"status": None}),
    ],
)
def test_what_does_not_fit_is_told_apart(name: str, wrong: dict[str, Any]) -> None:
    type_ = type_named(name)

    assert not validator(type_).is_valid({**type_.example, **wrong})


def test_what_their_documentation_leaves_open_stays_open() -> None:
    for name in ("PAYMENT_COMPLETED", "invoice.paid", "billing.subscription-created", "card_transaction"):
        type_ = type_named(name)
        assert validator(type_).is_valid({**type_.example, "more": {"of": ["theirs"]}}), name


def load(*arguments: str) -> dict[str, Any]:
    out = StringIO()
    call_command("load_provider", *arguments, stdout=out)
    summary: dict[str, Any] = json.loads(out.getvalue())
    return summary


@pytest.mark.django_db
class TestCommand:
    def test_it_may_be_repeated(self) -> None:
        assert load("paysera") == {
            "provider": "paysera",
            "created": 5,
            "updated": 0,
            "unchanged": 0,
            "differing": [],
        }
        first = (list(EventType.objects.order_by("id").values()), list(ProviderKey.objects.values()))
        entries = AuditEntry.objects.count()

        assert load("paysera") == {"provider": "paysera", "created": 0, "updated": 0, "unchanged": 5, "differing": []}
        assert (list(EventType.objects.order_by("id").values()), list(ProviderKey.objects.values())) == first
        assert AuditEntry.objects.count() == entries
        assert [key["family"] for key in first[1]] == ["rsa"]

    @pytest.mark.parametrize("provider", PROVIDERS.values(), ids=lambda provider: provider.name)
    def test_every_system_can_be_loaded(self, provider: Any) -> None:
        assert load(provider.name)["created"] == len(provider.types)
        for type_ in provider.types:
            row = EventType.objects.get(name=type_.name)
            assert (row.group, row.description, row.schema, row.example, row.strict) == (
                type_.group,
                type_.description,
                type_.schema,
                type_.example,
                False,
            )
        assert set(ProviderKey.objects.values_list("family", flat=True)) == set(provider.key_families)
        assert AuditEntry.objects.filter(action="event_type.created").count() == len(provider.types)

    def test_what_somebody_changed_stays_unless_it_is_to_be_replaced(self) -> None:
        load("card")
        EventType.objects.filter(name="card_state").update(description="Ours", archived=True)
        EventType.objects.filter(name="account_topup").delete()

        assert load("card") == {
            "provider": "card",
            "created": 1,
            "updated": 0,
            "unchanged": 3,
            "differing": ["card_state"],
        }
        assert EventType.objects.get(name="card_state").description == "Ours"

        assert load("card", "--replace") == {
            "provider": "card",
            "created": 0,
            "updated": 1,
            "unchanged": 3,
            "differing": [],
        }
        row = EventType.objects.get(name="card_state")
        assert (row.description, row.archived) == (type_named("card_state").description, False)

    def test_strict_is_for_what_is_created_or_replaced(self) -> None:
        load("card", "--strict")
        assert set(EventType.objects.values_list("strict", flat=True)) == {True}
        # Without the option it is left as it is.
        assert load("card", "--replace")["unchanged"] == 4

        load("paysera")
        assert load("paysera", "--strict")["differing"] == [type_.name for type_ in PROVIDERS["paysera"].types]
        assert not EventType.objects.filter(name="payment.incoming", strict=True).exists()
        assert load("paysera", "--strict", "--replace")["updated"] == 5
        assert EventType.objects.get(name="payment.incoming").strict

    @pytest.mark.parametrize("arguments", [("nobody",), ()])
    def test_an_unknown_name_is_answered_with_the_known_ones(self, arguments: tuple[str, ...]) -> None:
        with pytest.raises(CommandError, match="one of: paysera, paysafe, paisr, gateway, card"):
            call_command("load_provider", *arguments)
        assert not EventType.objects.exists()

    def test_the_list_shows_what_there_is(self) -> None:
        out = StringIO()
        call_command("load_provider", "--list", stdout=out)

        lines = out.getvalue().splitlines()
        assert [line.split()[0] for line in lines] == list(PROVIDERS)
        assert lines[2].endswith("22 event types  formats: paisr, paisr-v2")
        assert not EventType.objects.exists()
