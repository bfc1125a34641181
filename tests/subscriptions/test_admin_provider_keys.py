"""The provider's keys in the admin: seen by those who may, rotated and withdrawn by those who may, after a question."""

import base64
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from dispatcher.profiles.key_pairs import fingerprint
from subscriptions.models import AuditEntry, ProviderKey
from subscriptions.selectors import provider_keys as selectors
from subscriptions.services import provider_keys

HOUR = timedelta(hours=1)
LIST = "/admin/subscriptions/providerkey/"
NOTHING = timedelta(0)


def page(key: ProviderKey) -> str:
    return reverse("admin:subscriptions_providerkey_change", args=[key.pk])


def press(client: Client, action: str, *keys: ProviderKey, **fields: Any) -> Any:
    return client.post(LIST, {"action": action, "_selected_action": [str(key.pk) for key in keys], **fields})


def audited() -> list[tuple[str, str]]:
    rows = AuditEntry.objects.filter(actor="user:admin").order_by("id")
    return list(rows.values_list("action", "target"))


def staff_with(*permissions: str) -> Client:
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def key(db: None) -> ProviderKey:
    return provider_keys.ensure(family="ec", now=timezone.now() - HOUR, actor="system")


TIMES = {"lead_hours": "2", "overlap_hours": "3"}


class TestPages:
    def test_the_public_half_is_shown_and_can_be_fetched(self, admin_client: Client, key: ProviderKey) -> None:
        text = admin_client.get(page(key)).content.decode()
        shown = [key.public_id, fingerprint(key.public_pem), "Current"]
        shown += [*key.public_pem.splitlines(), *key.certificate_pem.splitlines()]
        # `+` is written as an entity.
        assert [part for part in shown if part.replace("+", "&#x2B;") not in text and part not in text] == []
        for part in ("pem", "crt"):
            address = f"/.well-known/webhook-keys/{key.public_id}.{part}"
            assert f'href="{address}"' in text
            assert Client().get(address).status_code == 200

    def test_the_private_half_is_on_no_page(self, admin_client: Client, key: ProviderKey) -> None:
        [sealed] = selectors.sealed()
        body = sealed.open().splitlines()[1]
        hidden = ["PRIVATE", body, body.replace("+", "&#x2B;"), sealed.ciphertext.hex(), repr(sealed.ciphertext)[2:40]]
        hidden.append(base64.b64encode(sealed.ciphertext).decode())
        for address in (LIST, page(key), reverse("admin:subscriptions_providerkey_history", args=[key.pk])):
            text = admin_client.get(address).content.decode()
            assert [word for word in hidden if word in text] == []

    def test_the_list_says_where_each_stands(self, admin_client: Client, key: ProviderKey) -> None:
        provider_keys.rotate(family="ec", lead=HOUR, overlap=HOUR, now=timezone.now(), actor="system")
        provider_keys.ensure(family="ed25519", now=timezone.now(), actor="system")
        rows = admin_client.get(LIST).context["cl"].result_list
        assert [(row.family, row.status) for row in rows] == [("ec", "next"), ("ec", "current"), ("ed25519", "current")]
        assert [row.family for row in admin_client.get(LIST, {"family": "ed25519"}).context["cl"].result_list] == [
            "ed25519"
        ]

    def test_one_that_is_published_no_longer_has_no_files(self, admin_client: Client, key: ProviderKey) -> None:
        past = timezone.now() - selectors.PUBLISHED_AFTER_END
        ProviderKey.objects.filter(id=key.id).update(signs_from=past, signs_until=past)
        text = admin_client.get(page(key)).content.decode()
        assert "no longer published" in text
        assert ".well-known" not in text

    def test_nothing_is_added_changed_or_deleted_by_hand(self, admin_client: Client, key: ProviderKey) -> None:
        assert admin_client.get(f"{LIST}add/").status_code == 403
        assert admin_client.post(page(key), {"family": "rsa"}).status_code == 403
        assert admin_client.post(f"{LIST}{key.pk}/delete/", {"post": "yes"}).status_code == 403
        assert audited() == []


class TestRotate:
    def test_asks_for_the_times_and_then_does_it(self, admin_client: Client, key: ProviderKey) -> None:
        asked = press(admin_client, "rotate", key)
        assert asked.status_code == 200
        assert asked.context["form"].initial == {}
        assert 'name="lead_hours" value="24"' in asked.content.decode()
        assert 'name="overlap_hours" value="168"' in asked.content.decode()
        assert ProviderKey.objects.count() == 1
        before = timezone.now()
        assert press(admin_client, "rotate", key, **TIMES).status_code == 302
        new = ProviderKey.objects.get(signs_until=None)
        key.refresh_from_db()
        assert before <= new.signs_from - 2 * HOUR <= timezone.now()
        assert key.signs_until == new.signs_from + 3 * HOUR
        assert audited() == [("provider_key.rotated", new.public_id)]

    def test_a_family_is_rotated_once_however_many_of_its_keys_are_ticked(
        self, admin_client: Client, key: ProviderKey
    ) -> None:
        now = timezone.now()
        provider_keys.rotate(family="ec", lead=NOTHING, overlap=NOTHING, now=now, actor="system")
        other = provider_keys.ensure(family="ed25519", now=now, actor="system")
        press(admin_client, "rotate", other, *ProviderKey.objects.filter(family="ec"), **TIMES)
        assert {family: ProviderKey.objects.filter(family=family).count() for family in ("ec", "ed25519")} == {
            "ec": 3,
            "ed25519": 2,
        }

    @pytest.mark.parametrize("wrong", [{"lead_hours": "-1"}, {"overlap_hours": "8761"}, {"lead_hours": "nan"}])
    def test_times_out_of_range_are_asked_for_again(
        self, wrong: dict[str, str], admin_client: Client, key: ProviderKey
    ) -> None:
        answer = press(admin_client, "rotate", key, **(TIMES | wrong))
        assert answer.status_code == 200
        assert set(answer.context["form"].errors) == set(wrong)
        assert ProviderKey.objects.count() == 1

    def test_a_refusal_is_told(self, admin_client: Client, key: ProviderKey) -> None:
        press(admin_client, "rotate", key, **TIMES)
        told = admin_client.get(press(admin_client, "rotate", key, **TIMES).headers["Location"]).content.decode()
        assert "At most 2 keys may overlap" in told
        assert ProviderKey.objects.count() == 2


class TestWithdraw:
    def test_asks_whether_one_is_sure(self, admin_client: Client, key: ProviderKey) -> None:
        new = provider_keys.rotate(family="ec", lead=NOTHING, overlap=HOUR, now=timezone.now(), actor="system").row
        asked = press(admin_client, "withdraw", key, from_page="1")
        assert "This cannot be undone." in asked.content.decode()
        assert press(admin_client, "withdraw", key, is_sure="").status_code == 200
        assert ProviderKey.objects.count() == 2
        done = press(admin_client, "withdraw", key, is_sure="on", from_page="1")
        assert done.headers["Location"] == LIST
        assert list(ProviderKey.objects.all()) == [new]
        assert audited() == [("provider_key.withdrawn", key.public_id)]

    def test_the_only_one_stays(self, admin_client: Client, key: ProviderKey) -> None:
        press(admin_client, "withdraw", key, is_sure="on")
        assert "This is the only key of its family" in admin_client.get(LIST).content.decode()
        assert ProviderKey.objects.get() == key
        assert audited() == []


@pytest.mark.parametrize("permission", ["view_providerkey", "delete_providerkey", "change_signingsecret"])
def test_who_may_not_change_keys_neither_rotates_nor_withdraws(permission: str, key: ProviderKey) -> None:
    client = staff_with(permission)
    may_see = permission == "view_providerkey"
    assert client.get(LIST).status_code == (200 if may_see else 403)
    assert client.get(page(key)).status_code == (200 if may_see else 403)
    if may_see:
        assert "signet-button" not in client.get(page(key)).content.decode()
    press(client, "rotate", key, **TIMES)
    press(client, "withdraw", key, is_sure="on")
    assert list(ProviderKey.objects.all()) == [key]
    assert AuditEntry.objects.filter(actor="user:clerk").count() == 0


def test_who_may_change_them_does_both(key: ProviderKey) -> None:
    client = staff_with("view_providerkey", "change_providerkey")
    press(client, "rotate", key, **TIMES)
    press(client, "withdraw", key, is_sure="on")
    assert [action for (action,) in AuditEntry.objects.filter(actor="user:clerk").values_list("action")] == [
        "provider_key.rotated",
        "provider_key.withdrawn",
    ]
