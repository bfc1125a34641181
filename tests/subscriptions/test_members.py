"""Members: who belongs to a merchant and in what role; a stranger's requests change nothing."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from subscriptions.errors import Conflict, Invalid, NotFound
from subscriptions.models import AuditEntry, Membership
from subscriptions.services import members, merchants
from tests.subscriptions.conftest import Person

NOW = datetime(2026, 2, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def user(db: None) -> User:
    return User.objects.create_user("dan", "dan@shop.example")


@pytest.fixture
def member(alice: Person, user: User) -> Membership:
    return members.add(merchant=alice.merchant, user=user, data={"role": "developer"}, now=NOW, actor="user:root")


@pytest.fixture
def admin(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


def audited() -> list[tuple[str, str]]:
    rows = AuditEntry.objects.filter(action__startswith="member.").order_by("id")
    return [(row.action, row.detail["role"]) for row in rows]


def test_added_changed_and_removed_with_an_entry_each(alice: Person, member: Membership) -> None:
    eve = User.objects.create_user("eve")
    other = members.add(merchant=alice.merchant, user=eve, data={"role": "viewer"}, now=NOW, actor="user:root")
    members.change(merchant=alice.merchant, member_id=member.id, data={"role": "owner"}, now=NOW, actor="user:root")
    assert Membership.objects.get(id=member.id).role == "owner"
    members.change(merchant=alice.merchant, member_id=other.id, data={"role": "owner"}, now=NOW, actor="user:root")
    members.remove(merchant=alice.merchant, member_id=member.id, now=NOW, actor="user:root")
    assert Membership.objects.get() == other
    assert audited()[2:] == [("member.changed", "owner"), ("member.changed", "owner"), ("member.removed", "owner")]
    added = AuditEntry.objects.filter(action="member.added").order_by("id")
    assert [entry.target for entry in added] == [member.public_id, other.public_id]


def test_nobody_is_a_member_twice_but_may_be_one_of_several(alice: Person, bob: Person, member: Membership) -> None:
    with pytest.raises(Conflict, match="already"):
        members.add(merchant=alice.merchant, user=member.user, data={"role": "owner"}, now=NOW, actor="test")
    members.add(merchant=bob.merchant, user=member.user, data={"role": "viewer"}, now=NOW, actor="test")
    assert sorted(Membership.objects.values_list("role", flat=True)) == ["developer", "viewer"]


@pytest.mark.parametrize("data", [{}, {"role": "root"}, {"role": None}, {"role": "owner", "since": 1}])
def test_a_role_is_one_of_three(alice: Person, user: User, data: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        members.add(merchant=alice.merchant, user=user, data=data, now=NOW, actor="test")
    assert not Membership.objects.exists()


def test_the_database_holds_the_roles_too(member: Membership) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Membership.objects.update(role="root")


def test_who_is_switched_off_becomes_no_member(alice: Person, user: User) -> None:
    user.is_active = False
    with pytest.raises(Invalid):
        members.add(merchant=alice.merchant, user=user, data={"role": "owner"}, now=NOW, actor="test")


def test_a_strangers_members_are_not_there(charlie: Person, member: Membership) -> None:
    with pytest.raises(NotFound):
        members.change(merchant=charlie.merchant, member_id=member.id, data={"role": "owner"}, now=NOW, actor="test")
    with pytest.raises(NotFound):
        members.remove(merchant=charlie.merchant, member_id=member.id, now=NOW, actor="test")
    member.refresh_from_db()
    assert member.role == "developer"
    assert audited() == [("member.added", "developer")]


def test_a_merchant_that_is_deleted_has_none(alice: Person, bob: Person, member: Membership) -> None:
    members.add(merchant=bob.merchant, user=member.user, data={"role": "viewer"}, now=NOW, actor="test")
    merchants.delete(merchant=alice.merchant, now=NOW, actor="test")
    assert [row.merchant_id for row in Membership.objects.all()] == [bob.merchant.id]
    with pytest.raises(NotFound):
        members.add(merchant=alice.merchant, user=member.user, data={"role": "owner"}, now=NOW, actor="test")


class TestAdmin:
    LIST = "admin:subscriptions_membership_changelist"
    ADD = "admin:subscriptions_membership_add"

    def test_adds_changes_and_removes_through_the_service(self, admin: Client, alice: Person, user: User) -> None:
        sent = {"user": "dan", "merchant": "alice", "role": "viewer"}
        assert admin.post(reverse(self.ADD), sent).status_code == 302
        member = Membership.objects.get()
        page = reverse("admin:subscriptions_membership_change", args=[member.pk])
        assert admin.post(page, {"role": "owner"}).status_code == 302
        member.refresh_from_db()
        assert (member.user, member.merchant, member.role) == (user, alice.merchant, "owner")
        # Nobody is left who could let others in: refused here as everywhere, until somebody else is an owner.
        refused = admin.post(reverse("admin:subscriptions_membership_delete", args=[member.pk]), {"post": "yes"})
        assert refused.status_code == 302
        assert Membership.objects.exists()
        assert admin.post(page, {"role": "viewer"}).status_code == 200
        User.objects.create_user("eve")
        sent = {"user": "eve", "merchant": "alice", "role": "owner"}
        assert admin.post(reverse(self.ADD), sent).status_code == 302
        gone = admin.post(reverse("admin:subscriptions_membership_delete", args=[member.pk]), {"post": "yes"})
        assert gone.status_code == 302
        assert [row.user.username for row in Membership.objects.all()] == ["eve"]
        actions = ["member.added", "member.changed", "member.added", "member.removed"]
        assert [action for action, _ in audited()] == actions
        assert set(AuditEntry.objects.filter(action__startswith="member.").values_list("actor", flat=True)) == {
            "user:root"
        }

    @pytest.mark.parametrize(
        "wrong", [{"user": "nobody"}, {"merchant": "nobody"}, {"role": "root"}, {"user": ""}, {"merchant": ""}]
    )
    def test_refuses_what_is_not_there(self, admin: Client, alice: Person, user: User, wrong: dict[str, str]) -> None:
        sent = {"user": "dan", "merchant": "alice", "role": "viewer"} | wrong
        assert admin.post(reverse(self.ADD), sent).status_code == 200
        assert not Membership.objects.exists()

    def test_lists_them_by_merchant_and_by_name(
        self, admin: Client, alice: Person, bob: Person, member: Membership, django_assert_max_num_queries: Any
    ) -> None:
        other = User.objects.create_user("eve", "eve@shop.example")
        members.add(merchant=bob.merchant, user=other, data={"role": "owner"}, now=NOW, actor="test")
        for term in (member.public_id, alice.merchant.public_id, "alice", "dan", "dan@shop"):
            with django_assert_max_num_queries(9):
                found = admin.get(reverse(self.LIST), {"q": term}).context["cl"].result_list
            assert [row.pk for row in found] == [member.pk]
        assert "dan &lt;dan@shop.example&gt;" in admin.get(reverse(self.LIST)).content.decode()
        assert admin.get(reverse("admin:subscriptions_notice_changelist")).status_code == 200
        assert admin.get(reverse("admin:subscriptions_notice_add")).status_code == 403
