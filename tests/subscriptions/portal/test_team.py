"""The team: owners let people in and out, others look; somebody is always left who can."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from subscriptions.errors import Conflict
from subscriptions.models import AuditEntry, Membership
from subscriptions.services import members
from tests.subscriptions.conftest import NOW, Api, Person, faults, problem
from tests.subscriptions.portal.conftest import Browser, join, make_user


def roles(person: Person) -> dict[str, str]:
    return dict(Membership.objects.filter(merchant=person.merchant).values_list("user__username", "role"))


@pytest.fixture
def owner(browser: Browser) -> Client:
    return browser("owner", name="ann")


class TestPage:
    def test_everybody_sees_it_and_owners_have_the_form(self, browser: Browser, page: Any) -> None:
        for role in ("owner", "developer", "viewer"):
            shown = browser(role).get(page("team/")).content.decode()
            assert ("Add to the team" in shown) is (role == "owner")
            assert "owner@shop.example" in shown

    def test_somebody_known_is_a_member_at_once(self, owner: Client, alice: Person, page: Any) -> None:
        make_user("eve")
        answer = owner.post(page("team/"), {"email": "EVE@shop.example", "role": "viewer"})
        assert (answer.status_code, answer.headers["Location"]) == (303, page("team/"))
        assert roles(alice) == {"ann": "owner", "eve": "viewer"}
        entry = AuditEntry.objects.filter(action="member.added").latest("id")
        assert (entry.actor, entry.detail["role"]) == ("user:ann", "viewer")
        assert "eve is in the team" in owner.get(page("team/")).content.decode()

    def test_somebody_new_is_invited(
        self, owner: Client, alice: Person, page: Any, has_mail: None, invited: list[str], commit: Any
    ) -> None:
        with commit(execute=True):
            answer = owner.post(page("team/"), {"email": "New@shop.example", "role": "developer"})
        assert answer.status_code == 303
        user = User.objects.get(email="New@shop.example")
        assert (user.username, user.has_usable_password()) == ("new@shop.example", False)
        member = Membership.objects.get(user=user)
        assert invited == [str(member.id)]
        shown = owner.get(page("team/")).content.decode()
        assert "A mail to New@shop.example" in shown
        assert ">Invited<" in shown
        with commit(execute=True):
            assert owner.post(page(f"team/{member.public_id}/invite")).status_code == 303
        assert invited == [str(member.id)] * 2

    def test_without_mail_nobody_new_can_be_added(self, owner: Client, alice: Person, page: Any, no_mail: None) -> None:
        answer = owner.post(page("team/"), {"email": "new@shop.example", "role": "developer"})
        assert answer.status_code == 409
        assert "no mail can be sent" in answer.content.decode()
        assert 'value="new@shop.example"' in answer.content.decode()
        assert not User.objects.filter(email="new@shop.example").exists()

    @pytest.mark.parametrize(
        ("sent", "field"),
        [
            ({"email": "nobody", "role": "owner"}, "email"),
            ({"email": "a@shop.example\x00b", "role": "root"}, "role"),
            ({"email": "", "role": "viewer"}, "email"),
            ({"email": "off@shop.example", "role": "viewer"}, "user"),
            ({"email": "both@shop.example", "role": "viewer"}, "email"),
        ],
    )
    def test_what_is_wrong_is_told_beside_the_field(
        self, owner: Client, alice: Person, page: Any, sent: dict[str, str], field: str
    ) -> None:
        make_user("off", is_active=False)
        for name in ("one", "two"):
            User.objects.create_user(name, "both@shop.example")
        answer = owner.post(page("team/"), sent)
        assert answer.status_code == 422
        assert field in answer.context["errors"]
        assert roles(alice) == {"ann": "owner"}

    def test_nobody_is_added_twice(self, owner: Client, alice: Person, page: Any) -> None:
        answer = owner.post(page("team/"), {"email": "ann@shop.example", "role": "viewer"})
        assert answer.status_code == 409
        assert roles(alice) == {"ann": "owner"}

    def test_changes_and_removes_after_a_question(self, owner: Client, alice: Person, page: Any) -> None:
        member = join(alice.merchant, make_user("eve"), "viewer")
        assert owner.post(page(f"team/{member.public_id}/role"), {"role": "developer"}).status_code == 303
        assert roles(alice)["eve"] == "developer"
        asked = owner.get(page(f"team/{member.public_id}/remove")).content.decode()
        assert "Remove eve?" in asked
        assert roles(alice)["eve"] == "developer"
        assert owner.post(page(f"team/{member.public_id}/remove")).status_code == 303
        assert roles(alice) == {"ann": "owner"}
        assert User.objects.filter(username="eve").exists()

    def test_the_last_owner_stays(self, owner: Client, alice: Person, page: Any) -> None:
        member = Membership.objects.get(merchant=alice.merchant)
        for path, sent in (("role", {"role": "viewer"}), ("remove", {})):
            answer = owner.post(page(f"team/{member.public_id}/{path}"), sent)
            assert answer.status_code == 409
            assert "last owner" in answer.content.decode()
        assert roles(alice) == {"ann": "owner"}

    def test_who_leaves_goes_to_the_choice_of_merchants(self, owner: Client, alice: Person, page: Any) -> None:
        join(alice.merchant, make_user("eve"), "owner")
        mine = Membership.objects.get(user__username="ann")
        assert owner.post(page(f"team/{mine.public_id}/remove")).headers["Location"] == "/portal/"
        assert roles(alice) == {"eve": "owner"}
        assert owner.get(page("team/")).status_code == 404

    @pytest.mark.parametrize("role", ["developer", "viewer"])
    def test_others_change_nothing(self, browser: Browser, alice: Person, page: Any, role: str) -> None:
        client = browser(role, name="eve")
        mine = Membership.objects.get(user__username="eve")
        for path in ("team/", *(f"team/{mine.public_id}/{end}" for end in ("role", "remove", "invite"))):
            assert client.post(page(path), {"role": "owner", "email": "a@shop.example"}).status_code == 403
        assert client.get(page(f"team/{mine.public_id}/remove")).status_code == 403
        assert roles(alice) == {"eve": role}

    def test_a_strangers_members_are_not_there(self, owner: Client, charlie: Person, page: Any) -> None:
        theirs = join(charlie.merchant, make_user("carl"), "owner")
        for end in ("role", "remove", "invite"):
            answer = owner.post(page(f"team/{theirs.public_id}/{end}"), {"role": "viewer"})
            assert answer.status_code == 404
        assert roles(charlie) == {"carl": "owner"}

    def test_four_statements_however_many(
        self, owner: Client, alice: Person, page: Any, django_assert_num_queries: Any
    ) -> None:
        for number in range(60):
            join(alice.merchant, make_user(f"user{number}"), "viewer")
        with django_assert_num_queries(4):
            first = owner.get(page("team/"))
        assert len(first.context["page"].rows) == 50
        rest = owner.get(page("team/"), {"before": first.context["page"].next_before})
        assert (len(rest.context["page"].rows), rest.context["page"].next_before) == (11, "")


class TestApi:
    PATH = "/merchants/alice/members"

    def test_lists_adds_changes_and_removes(self, provider: Api, alice: Person) -> None:
        make_user("ann")
        make_user("eve")
        added = provider.post(self.PATH, {"email": "ann@shop.example", "role": "viewer"})
        assert added.status_code == 201
        member = added.json()
        assert added.headers["Location"] == f"/api/v2{self.PATH}/{member['id']}"
        assert {name: member[name] for name in ("user", "email", "role", "invited")} == {
            "user": "ann",
            "email": "ann@shop.example",
            "role": "viewer",
            "invited": False,
        }
        provider.post(self.PATH, {"email": "eve@shop.example", "role": "owner"})
        assert [one["user"] for one in provider.get(self.PATH).json()["data"]] == ["eve", "ann"]
        changed = provider.patch(f"{self.PATH}/{member['id']}", {"role": "developer"})
        assert (changed.status_code, changed.json()["role"]) == (200, "developer")
        assert provider.delete(f"{self.PATH}/{member['id']}").status_code == 204
        problem(provider.delete(f"{self.PATH}/{member['id']}"), 404, "not_found")
        assert roles(alice) == {"eve": "owner"}

    def test_invites_somebody_new_once_for_a_repeat(
        self, provider: Api, alice: Person, has_mail: None, invited: list[str], commit: Any
    ) -> None:
        body = {"email": "new@shop.example", "role": "owner"}
        with commit(execute=True):
            first = provider.post(self.PATH, body, Idempotency_Key="k")
            again = provider.post(self.PATH, body, Idempotency_Key="k")
        assert (first.status_code, first.json()["invited"]) == (201, True)
        assert again.json() == first.json()
        assert len(invited) == 1

    def test_refuses_what_is_wrong(self, provider: Api, alice: Person, no_mail: None) -> None:
        assert faults(provider.post(self.PATH, {"email": "x", "role": "root", "y": 1})) == {
            "/email": "invalid_address",
            "/role": "unknown_choice",
            "/y": "unknown_field",
        }
        assert faults(provider.post(self.PATH, {})) == {"/email": "required", "/role": "required"}
        problem(provider.post(self.PATH, {"email": "new@shop.example", "role": "owner"}), 409, "channel_unavailable")
        member = join(alice.merchant, make_user("ann"), "owner")
        problem(provider.post(self.PATH, {"email": "ann@shop.example", "role": "viewer"}), 409, "is_member")
        one = f"{self.PATH}/{member.public_id}"
        problem(provider.patch(one, {"role": "viewer"}), 409, "last_owner")
        problem(provider.delete(one), 409, "last_owner")
        problem(provider.patch(f"{self.PATH}/ep_x", {"role": "viewer"}), 404, "not_found")
        problem(Api(alice.api.key, base="/api/v2").get(self.PATH), 403, "provider_key_needed")
        assert roles(alice) == {"ann": "owner"}

    def test_another_merchants_member_is_not_there(self, provider: Api, alice: Person, charlie: Person) -> None:
        theirs = join(charlie.merchant, make_user("carl"), "viewer")
        problem(provider.patch(f"{self.PATH}/{theirs.public_id}", {"role": "owner"}), 404, "not_found")
        problem(provider.delete(f"{self.PATH}/{theirs.public_id}"), 404, "not_found")
        assert roles(charlie) == {"carl": "viewer"}

    def test_there_is_a_most(self, provider: Api, alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(members, "MOST_MEMBERS", 1)
        for name in ("ann", "eve"):
            make_user(name)
        assert provider.post(self.PATH, {"email": "ann@shop.example", "role": "owner"}).status_code == 201
        problem(provider.post(self.PATH, {"email": "eve@shop.example", "role": "owner"}), 409, "too_many_members")


class TestLastOwner:
    def test_one_who_is_switched_off_is_no_owner_and_may_go(self, alice: Person) -> None:
        ann = join(alice.merchant, make_user("ann"), "owner")
        eve = join(alice.merchant, make_user("eve"), "owner")
        User.objects.filter(username="eve").update(is_active=False)
        with pytest.raises(Conflict):
            members.remove(merchant=alice.merchant, member_id=ann.id, now=NOW, actor="x")
        members.remove(merchant=alice.merchant, member_id=eve.id, now=NOW, actor="x")
        assert roles(alice) == {"ann": "owner"}

    def test_being_made_an_owner_again_changes_nothing(self, alice: Person) -> None:
        ann = join(alice.merchant, make_user("ann"), "owner")
        members.change(merchant=alice.merchant, member_id=ann.id, data={"role": "owner"}, now=NOW, actor="x")
        assert roles(alice) == {"ann": "owner"}

    @pytest.mark.django_db(transaction=True)
    def test_two_who_demote_each_other_leave_one(self, alice: Person) -> None:
        both = [join(alice.merchant, make_user(name), "owner") for name in ("ann", "eve")]

        def demote(member: Membership) -> str:
            try:
                members.change(
                    merchant=alice.merchant, member_id=member.id, data={"role": "viewer"}, now=NOW, actor="x"
                )
            except Conflict as refusal:
                return refusal.code
            finally:
                connection.close()
            return "done"

        for _ in range(5):
            Membership.objects.update(role="owner")
            with ThreadPoolExecutor(2) as pool:
                assert sorted(pool.map(demote, both)) == ["done", "last_owner"]
            assert sorted(roles(alice).values()) == ["owner", "viewer"]


def test_a_name_that_somebody_else_has_is_no_hindrance(alice: Person, has_mail: None, invited: list[str]) -> None:
    """The user name `new@shop.example` may belong to somebody with another address."""
    User.objects.create_user("new@shop.example", "other@shop.example")
    added = members.add_by_email(
        merchant=alice.merchant, data={"email": "new@shop.example", "role": "viewer"}, now=NOW, actor="x"
    )
    assert added.member.user.email == "new@shop.example"
    assert added.member.user.username.startswith("new@shop.example-")
    assert added.is_invited
