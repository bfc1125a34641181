"""Setting up an endpoint in the portal: what the form takes, what it says, and what it keeps when it refuses."""

import html
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.http import QueryDict
from django.test import Client
from django.utils import timezone

from subscriptions.errors import Invalid
from subscriptions.models import AuditEntry, Endpoint, SigningSecret
from subscriptions.portal import endpoint_form
from tests.subscriptions.conftest import URL, Person
from tests.subscriptions.portal.conftest import Browser

Page = Callable[..., str]
OWN = "whsec_" + "QUJD" * 8
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
def client(browser: Browser) -> Client:
    return browser("developer")


@pytest.fixture
def endpoint(alice: Person) -> Endpoint:
    made = alice.api.post("/endpoints", {"url": URL, "secret": OWN})
    assert made.status_code == 201, made.content
    return Endpoint.objects.get()


def words_of(answer: Any) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", answer.content.decode())).split())


def new(**fields: Any) -> dict[str, Any]:
    """What a browser sends for the form as it opens, with the URL filled in."""
    return {
        "channel": "webhook", "url": URL, "description": "", "secret_way": "generate", "secret": "", "events": "all",
        "is_active": "on", "profile": "default", "auth_type": "none", "auth_name": "", "auth_secret": "",
        "headers": "", "accounts": "", "retry_schedule": "", "rate_limit": "", "max_in_flight": "50",
    } | fields  # fmt: skip


class TestCreate:
    def test_the_plain_form_makes_an_endpoint_for_everything(self, client: Client, page: Page, rung: Any) -> None:
        answer = client.post(page("endpoints/new"), new(description="Bookkeeping"))
        assert answer.status_code == 200
        made = Endpoint.objects.get()
        assert (made.target, made.description, made.event_types, made.is_active) == (URL, "Bookkeeping", None, True)
        assert (made.profile, made.auth_type, made.headers, made.accounts) == ("default", "none", {}, [])
        assert (made.retry_schedule, made.rate_limit, made.max_in_flight, made.ordered) == (None, None, 50, False)
        assert AuditEntry.objects.latest("id").actor == "user:developer"

    def test_the_generated_secret_is_shown_once(self, client: Client, page: Page) -> None:
        answer = client.post(page("endpoints/new"), new())
        (secret,) = re.findall(r'<span id="secret">([^<]+)</span>', answer.content.decode())
        assert len(secret) > 30
        made = Endpoint.objects.get()
        assert f'data-address="{page(f"endpoints/{made.public_id}/")}"' in answer.content.decode()
        for tab in ("health", "signing", "settings"):
            assert secret not in client.get(page(f"endpoints/{made.public_id}/"), {"tab": tab}).content.decode()

    def test_ones_own_secret_and_none_at_all(self, client: Client, page: Page) -> None:
        own = client.post(page("endpoints/new"), new(secret_way="own", secret=OWN))
        assert OWN in own.content.decode()
        none = client.post(page("endpoints/new"), new(secret_way="none", url=f"{URL}/2"))
        assert "Requests to this endpoint are not signed." in words_of(none)
        assert SigningSecret.objects.count() == 1

    def test_everything_behind_advanced(self, client: Client, page: Page, types: list[str]) -> None:
        client.post(
            page("endpoints/new"),
            new(
                events="choose", types=["invoice.*", "PAYMENT_COMPLETED"], auth_type="basic", auth_name="robot",
                auth_secret="p:w", headers="X-A: 1\n\n X-B:  two: 2 \n", accounts="card-1\r\ncard-2\r\n",
                retry_schedule="10 s, 1min; 2 h, 1 d, 5", rate_limit="7", max_in_flight="3", ordered="on",
            ),
        )  # fmt: skip
        made = Endpoint.objects.get()
        assert made.event_types == ["invoice.*", "PAYMENT_COMPLETED"]
        assert (made.auth_type, made.auth_name) == ("basic", "robot")
        assert made.headers == {"X-A": "1", "X-B": "two: 2"}
        assert sorted(made.accounts) == ["card-1", "card-2"]
        assert made.retry_schedule == [10, 60, 7200, 86_400, 5]
        assert (made.rate_limit, made.max_in_flight, made.ordered) == (7, 3, True)

    def test_no_retries_at_all(self, client: Client, page: Page) -> None:
        client.post(page("endpoints/new"), new(retry_schedule="None"))
        assert Endpoint.objects.get().retry_schedule == []

    def test_off_from_the_beginning(self, client: Client, page: Page) -> None:
        fields = new()
        del fields["is_active"]
        client.post(page("endpoints/new"), fields)
        assert not Endpoint.objects.get().is_active

    @pytest.mark.parametrize(
        ("fields", "name", "sentence"),
        [
            ({"url": ""}, "url", ""),
            ({"url": "shop.example"}, "url", ""),
            ({"url": "http://93.184.215.14/in"}, "url", "https"),
            ({"url": "https://127.0.0.1/in"}, "url", ""),
            ({"secret_way": "own", "secret": ""}, "secret", ""),
            ({"secret_way": "own", "secret": "x" * 5000}, "secret", ""),
            ({"events": "choose"}, "event_types", ""),
            ({"events": "choose", "types": ["no.such"]}, "event_types", ""),
            ({"headers": "no colon"}, "headers", "Write each as Name: value"),
            ({"headers": "Host: x"}, "headers", ""),
            ({"retry_schedule": "soon"}, "retry_schedule", "Write the waits like 10 s, 1 min, 2 h."),
            ({"retry_schedule": "1 week"}, "retry_schedule", "Write the waits like 10 s, 1 min, 2 h."),
            ({"rate_limit": "0"}, "rate_limit", ""),
            ({"rate_limit": "lots"}, "rate_limit", "This must be a whole number."),
            ({"rate_limit": "٣"}, "rate_limit", "This must be a whole number."),
            ({"max_in_flight": "9999999999"}, "max_in_flight", ""),
            ({"auth_type": "basic"}, "auth", ""),
            ({"profile": "no-such"}, "profile", ""),
        ],
    )
    def test_what_is_wrong_is_said_at_its_field_and_the_rest_stays(
        self, client: Client, page: Page, types: list[str], fields: dict[str, Any], name: str, sentence: str
    ) -> None:
        typed = (
            new(description="Keep me", accounts="card-9", **fields)
            if "headers" in fields
            else new(description="Keep me", accounts="card-9", headers="X-Keep: 1", **fields)
        )
        answer = client.post(page("endpoints/new"), typed)
        assert answer.status_code == 422
        errors = answer.context["form"].errors
        assert list(errors) == [name]
        assert sentence in errors[name]
        text = answer.content.decode()
        assert 'class="error"' in text
        assert 'value="Keep me"' in text
        assert "card-9" in text
        assert ('<details class="more advanced" open>' in text) is (name in endpoint_form.PLACES)
        assert not Endpoint.objects.exists()

    def test_several_things_at_once(self, client: Client, page: Page) -> None:
        answer = client.post(page("endpoints/new"), new(url="x", rate_limit="0", headers="Host: x"))
        assert set(answer.context["form"].errors) == {"url", "rate_limit", "headers"}
        assert "look at the fields marked below" in words_of(answer)

    def test_a_secret_that_was_typed_does_not_come_back(self, client: Client, page: Page) -> None:
        answer = client.post(page("endpoints/new"), new(secret_way="own", secret=OWN, url="x", auth_secret="hunter2"))
        assert OWN not in answer.content.decode()
        assert "hunter2" not in answer.content.decode()

    def test_too_many_endpoints_are_a_sentence(
        self, client: Client, page: Page, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("subscriptions.services.endpoints.MOST_ENDPOINTS", 1)
        answer = client.post(page("endpoints/new"), new(url=f"{URL}/2"))
        assert answer.status_code == 409
        assert 'role="alert"' in answer.content.decode()
        assert Endpoint.objects.count() == 1

    def test_what_others_wrote_does_nothing(self, client: Client, page: Page, alice: Person) -> None:
        from tests.subscriptions.conftest import make_type

        make_type("a.b", group=SCRIPT, description=SCRIPT)
        answer = client.post(
            page("endpoints/new"), new(url=SCRIPT, description=SCRIPT, headers=SCRIPT, accounts=SCRIPT)
        )
        assert SCRIPT not in answer.content.decode()


class TestCheck:
    def ask(self, client: Client, page: Page, name: str, rest: str = "", **fields: Any) -> Any:
        return client.post(page(f"endpoints/check?field={name}{rest}"), new(**fields), headers={"HX-Request": "true"})

    def test_a_good_field_is_praised_and_a_bad_one_told(self, client: Client, page: Page) -> None:
        assert words_of(self.ask(client, page, "url")) == "Looks right."
        assert "http" in words_of(self.ask(client, page, "url", url="ftp://x"))
        assert words_of(self.ask(client, page, "url", url="")) == ""

    def test_others_mistakes_are_not_this_fields(self, client: Client, page: Page) -> None:
        assert words_of(self.ask(client, page, "url", headers="bad", rate_limit="x")) == "Looks right."
        assert words_of(self.ask(client, page, "rate_limit", url="", rate_limit="x")) == "This must be a whole number."

    def test_nothing_is_saved(self, client: Client, page: Page) -> None:
        self.ask(client, page, "url")
        assert not Endpoint.objects.exists()
        assert not AuditEntry.objects.filter(action__startswith="endpoint").exists()

    @pytest.mark.parametrize("name", ["", "auth", "owner", "url%00"])
    def test_another_field_is_not_there(self, client: Client, page: Page, name: str) -> None:
        assert self.ask(client, page, name).status_code == 404


class TestEdit:
    @pytest.fixture
    def form(self, endpoint: Endpoint, page: Page) -> Callable[..., Any]:
        """Send the form as it opened, with some fields changed."""

        def send(client: Client, **changed: Any) -> Any:
            opened = client.get(page(f"endpoints/{endpoint.public_id}/edit")).context["form"].values
            fields = {name: "on" if value is True else value for name, value in opened.items() if value is not False}
            return client.post(page(f"endpoints/{endpoint.public_id}/edit"), fields | changed)

        return send

    def test_saving_what_is_there_changes_nothing(
        self, client: Client, endpoint: Endpoint, form: Callable[..., Any], page: Page
    ) -> None:
        before: dict[str, Any] = dict(Endpoint.objects.values().get())
        answer = form(client)
        assert (answer.status_code, answer.headers["Location"]) == (303, page(f"endpoints/{endpoint.public_id}/"))
        after: dict[str, Any] = dict(Endpoint.objects.values().get())
        assert {name for name in before if before[name] != after[name]} <= {"updated_at", "version"}

    def test_what_was_changed_is(
        self, client: Client, endpoint: Endpoint, form: Callable[..., Any], page: Page
    ) -> None:
        form(client, description="New", retry_schedule="10 s, 20 s", url=f"{URL}/new")
        endpoint.refresh_from_db()
        assert (endpoint.description, endpoint.retry_schedule, endpoint.target) == ("New", [10, 20], f"{URL}/new")
        assert "Saved." in words_of(client.get(page(f"endpoints/{endpoint.public_id}/")))

    def test_a_stored_credential_stays_and_goes_to_no_other_host(
        self, client: Client, endpoint: Endpoint, form: Callable[..., Any], page: Page
    ) -> None:
        form(client, auth_type="bearer", auth_secret="token-1")
        sealed = Endpoint.objects.values_list("auth_ciphertext", flat=True).get()
        assert sealed
        opened = client.get(page(f"endpoints/{endpoint.public_id}/edit")).content.decode()
        assert "token-1" not in opened
        assert "Stored; empty keeps it" in opened
        form(client, description="x")
        assert Endpoint.objects.values_list("auth_ciphertext", flat=True).get() == sealed
        moved = form(client, url="https://93.184.215.15/in")
        assert moved.status_code == 422
        assert moved.context["form"].errors == {
            "auth": "Type it again: a stored credential does not go along to another host."
        }
        assert Endpoint.objects.get().target == URL
        assert form(client, url="https://93.184.215.15/in", auth_secret="token-2").status_code == 303
        assert Endpoint.objects.values_list("auth_ciphertext", flat=True).get() != sealed

    def test_somebody_else_was_quicker(
        self, client: Client, endpoint: Endpoint, form: Callable[..., Any], alice: Person, page: Page
    ) -> None:
        opened = client.get(page(f"endpoints/{endpoint.public_id}/edit")).context["form"].values
        alice.api.patch(f"/endpoints/{endpoint.public_id}", {"description": "theirs"})
        answer = client.post(
            page(f"endpoints/{endpoint.public_id}/edit"),
            new(description="mine", accounts="card-7", version=opened["version"]),
        )
        assert answer.status_code == 409
        text = answer.content.decode()
        assert "Somebody else changed this endpoint meanwhile." in text
        assert 'value="mine"' in text
        assert "card-7" in text
        endpoint.refresh_from_db()
        assert endpoint.description == "theirs"

    @pytest.mark.parametrize("version", ["9" * 20, "9" * 5_000])
    def test_a_version_that_never_was_is_an_old_one(
        self, version: str, client: Client, endpoint: Endpoint, form: Callable[..., Any]
    ) -> None:
        assert form(client, description="mine", version=version).status_code == 409
        assert Endpoint.objects.get().description != "mine"

    def test_what_is_wrong_is_said(self, client: Client, endpoint: Endpoint, form: Callable[..., Any]) -> None:
        answer = form(client, max_in_flight="0", description="kept")
        assert answer.status_code == 422
        assert list(answer.context["form"].errors) == ["max_in_flight"]
        assert 'value="kept"' in answer.content.decode()

    def test_names_that_the_catalogue_lost_stay_chosen(
        self, client: Client, endpoint: Endpoint, form: Callable[..., Any], page: Page
    ) -> None:
        Endpoint.objects.update(event_types=["gone.type", "other.*"])
        body = client.get(page(f"endpoints/{endpoint.public_id}/edit")).content.decode()
        assert "Also chosen" in body
        assert 'value="gone.type" checked' in body


class TestSwitch:
    def test_pause_and_enable_say_what_happens(self, client: Client, endpoint: Endpoint, page: Page) -> None:
        home = page(f"endpoints/{endpoint.public_id}/")
        assert client.post(f"{home}pause").headers["Location"] == home
        endpoint.refresh_from_db()
        assert (endpoint.is_active, endpoint.disabled_reason) == (False, "paused")
        assert "Paused. Events that come now are held, and nothing is lost." in words_of(client.get(home))
        assert client.post(f"{home}enable").status_code == 303
        endpoint.refresh_from_db()
        assert endpoint.is_active
        assert "Enabled." in words_of(client.get(home))

    def test_looking_changes_nothing(self, client: Client, endpoint: Endpoint, page: Page) -> None:
        for what in ("pause", "enable", "confirm", "secret"):
            assert client.get(page(f"endpoints/{endpoint.public_id}/{what}")).status_code == 303
        endpoint.refresh_from_db()
        assert endpoint.is_active


class TestSecret:
    def test_revealing_it_is_written_down(self, client: Client, endpoint: Endpoint, page: Page) -> None:
        answer = client.post(page(f"endpoints/{endpoint.public_id}/secret"))
        assert f'<span id="secret">{OWN}</span>' in answer.content.decode()
        entry = AuditEntry.objects.latest("id")
        assert (entry.actor, entry.target) == ("user:developer", endpoint.public_id)
        assert "secret" in entry.action

    @pytest.mark.parametrize(("asked", "overlap"), [("0", 0), ("3600", 3600), ("nonsense", 86_400), ("5", 86_400)])
    def test_a_new_one_signs_beside_the_old_for_a_while(
        self, client: Client, endpoint: Endpoint, page: Page, asked: str, overlap: int
    ) -> None:
        before = timezone.now()
        answer = client.post(page(f"endpoints/{endpoint.public_id}/rotate"), {"way": "generate", "overlap": asked})
        assert answer.status_code == 200
        (shown,) = re.findall(r'<span id="secret">([^<]+)</span>', answer.content.decode())
        assert shown != OWN
        rows = SigningSecret.objects.values_list("expires_at", flat=True)
        ends = [end for end in rows if end is not None]
        if overlap:
            (end,) = ends
            assert before + timedelta(seconds=overlap) <= end <= timezone.now() + timedelta(seconds=overlap)
            assert "Requests carry signatures of the old and the new secret until" in words_of(answer)
        else:
            assert [end for end in ends if end > timezone.now()] == []

    def test_ones_own_is_checked(self, client: Client, endpoint: Endpoint, page: Page) -> None:
        address = page(f"endpoints/{endpoint.public_id}/rotate")
        answer = client.post(address, {"way": "own", "secret": "x" * 5000, "overlap": "3600"})
        assert answer.status_code == 422
        assert 'class="error"' in answer.content.decode()
        assert 'value="3600" checked' in answer.content.decode()
        assert SigningSecret.objects.count() == 1
        other = "whsec_" + "REVG" * 8
        assert other in client.post(address, {"way": "own", "secret": other, "overlap": "0"}).content.decode()


class TestLetters:
    @pytest.fixture
    def letter(self, alice: Person, settings: Any) -> Endpoint:
        settings.EMAIL_BACKEND, settings.HAS_EMAIL = "django.core.mail.backends.locmem.EmailBackend", True
        made = alice.api.post("/endpoints", {"url": "mailto:ann@shop.example", "channel": "email"})
        assert made.status_code == 201, made.content
        return Endpoint.objects.get()

    def test_an_address_is_made_without_its_scheme(self, client: Client, page: Page, letter: Endpoint) -> None:
        answer = client.post(page("endpoints/new"), new(channel="email", url="bob@shop.example"))
        assert "We sent a code to mailto:bob@shop.example" in words_of(answer) or "bob@shop.example" in words_of(answer)
        made = Endpoint.objects.latest("id")
        assert (made.channel, made.target) == ("email", "mailto:bob@shop.example")
        assert not made.is_active

    def test_a_wrong_code_is_said(self, client: Client, page: Page, letter: Endpoint) -> None:
        client.post(page(f"endpoints/{letter.public_id}/confirm"), {"code": "000000"})
        letter.refresh_from_db()
        assert letter.verified_at is None
        assert "toast-error" in client.get(page(f"endpoints/{letter.public_id}/")).content.decode()

    def test_a_new_code_can_be_asked_for(self, client: Client, page: Page, letter: Endpoint) -> None:
        answer = client.post(page(f"endpoints/{letter.public_id}/confirm"), {"code": "", "again": "1"})
        assert answer.status_code in {303, 429}


class TestReading:
    def test_what_was_typed_is_read_by_name(self) -> None:
        form = endpoint_form.typed(QueryDict("url=+https://x/+&types=a&types=b&ordered=on&version=7"))
        assert form.values["url"] == "https://x/"
        assert form.values["types"] == ["a", "b"]
        assert (form.values["ordered"], form.values["is_active"], form.values["version"]) == (True, False, "7")

    @pytest.mark.parametrize(
        ("text", "delays"),
        [("", None), ("none", []), ("5", [5]), ("10s, 2 m,3H", [10, 120, 10_800]), ("1 d", [86_400])],
    )
    def test_waits(self, text: str, delays: list[int] | None) -> None:
        form = endpoint_form.Form({**endpoint_form.blank("webhook").values, "retry_schedule": text})
        assert endpoint_form.read(form, is_new=True)["retry_schedule"] == delays

    @pytest.mark.parametrize("text", [",", "1 s,,2 s", "-1", "1.5 h", "\uff11 s"])
    def test_waits_that_mean_nothing(self, text: str) -> None:
        form = endpoint_form.Form({**endpoint_form.blank("webhook").values, "retry_schedule": text})
        with pytest.raises(Invalid):
            endpoint_form.read(form, is_new=True)

    def test_groups_have_prefixes_that_two_names_share(self, types: list[str]) -> None:
        from subscriptions.selectors import event_types

        (group,) = endpoint_form.groups(event_types.on_offer())
        assert (group.name, list(group.prefixes)) == ("Other", ["invoice.*"])
        assert [one.name for one in group.types] == ["PAYMENT_COMPLETED", "invoice.paid", "invoice.voided"]
