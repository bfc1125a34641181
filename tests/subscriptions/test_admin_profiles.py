"""Wire profiles in the admin: faults in words beside the JSON, a sample beside both, and nothing stored by looking."""

import json
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from dispatcher.profiles.catalogue import PROFILES
from dispatcher.profiles.declaration import parse_profile
from subscriptions.admin.profile_form import WIDTH, editable, in_words, laid_out
from subscriptions.models import AuditEntry, WireProfile
from subscriptions.services import endpoints, profiles
from tests.subscriptions.conftest import NOW, URL, Person, make_type
from tests.subscriptions.test_admin import audited, errors, listing, page, staff_with

DEFINITION: dict[str, Any] = {
    "body": {"kind": "thin", "template": {"type": "{type}", "id": "{id}"}},
    "signatures": [{"name": "Acme-Signature", "key": "utf8"}],
}
TEXT = json.dumps(DEFINITION)
BROKEN = TEXT.replace('"key"', '"message": "{nope}", "key"')
PREVIEW = "/admin/subscriptions/wireprofile/preview/"


def make(name: str = "acme") -> WireProfile:
    return profiles.create(data={"name": name, "definition": DEFINITION}, now=NOW, actor="system")


def posted(row: WireProfile, **changed: Any) -> dict[str, Any]:
    """What a browser posts for a profile that is left as it is, apart from `changed`."""
    parsed = parse_profile(row.name, row.definition)
    text = laid_out(editable(parsed)).replace("\n", "\r\n")
    return {"description": row.description, "definition": text, "version": row.version} | changed


def preview(client: Client, definition: str, **sample: str) -> str:
    answer = client.post(
        PREVIEW, {"definition": definition} | {f"sample-{name}": text for name, text in sample.items()}
    )
    assert answer.status_code == 200
    return re.sub(r"\s+", " ", answer.content.decode())


class TestWriting:
    def test_made_by_the_service(self, admin_client: Client) -> None:
        admin_client.post(listing(WireProfile, "add"), {"name": "acme", "description": "Ours", "definition": TEXT})
        row = WireProfile.objects.get()
        assert (row.name, row.description) == ("acme", "Ours")
        assert parse_profile("acme", row.definition) == parse_profile("acme", DEFINITION)
        assert audited() == [("profile.created", "acme")]

    def test_faults_stand_in_words_beside_the_json(self, admin_client: Client) -> None:
        told = errors(admin_client.post(listing(WireProfile, "add"), {"name": "Stripe", "definition": BROKEN}))
        assert told["definition"] == ["Signature 1 › message: There is no placeholder {nope} here."]  # noqa: RUF001
        assert list(told) == ["name", "definition"]
        told = errors(admin_client.post(listing(WireProfile, "add"), {"name": "stripe", "definition": "[1]"}))
        assert told == {
            "name": ["A profile of this name comes with the platform."],
            "definition": ["This must be an object."],
        }
        assert not WireProfile.objects.exists()

    @pytest.mark.parametrize("text", ["", "{", "NaN", '{"a":1,"a":2}', '{"source": "\\u0000"}', "[" * 1000])
    def test_what_is_no_json_is_told(self, text: str, admin_client: Client) -> None:
        told = errors(admin_client.post(listing(WireProfile, "add"), {"name": "acme", "definition": text}))
        assert list(told) == ["definition"]
        assert "body" not in told["definition"][0]

    def test_one_that_is_left_as_it_is_writes_nothing(self, admin_client: Client) -> None:
        row = make()
        admin_client.post(page(row), posted(row))
        assert audited() == []
        admin_client.post(page(row), posted(row, description="New"))
        assert audited() == [("profile.updated", "acme")]
        assert AuditEntry.objects.get(actor="user:admin").detail == {"fields": ["description"]}

    def test_another_order_in_the_template_is_a_change(self, admin_client: Client) -> None:
        row = make()
        turned = DEFINITION | {"body": {"kind": "thin", "template": {"id": "{id}", "type": "{type}"}}}
        admin_client.post(page(row), posted(row, definition=json.dumps(turned)))
        row.refresh_from_db()
        assert row.definition["body"]["template"] == '{"id": "{id}", "type": "{type}"}'

    def test_of_two_changes_at_once_the_second_is_told(self, admin_client: Client) -> None:
        row = make()
        admin_client.post(page(row), posted(row, description="First"))
        told = errors(admin_client.post(page(row), posted(row, description="Second")))
        assert told == {"__all__": ["The object has changed meanwhile: its version is 2."]}

    def test_deleted_unless_an_endpoint_uses_it(self, admin_client: Client, alice: Person) -> None:
        row, spare = make(), make("spare")
        endpoints.create(merchant=alice.merchant, data={"url": URL, "profile": "acme"}, now=NOW, actor="system")
        assert "Endpoints that use it: 1." in admin_client.get(page(row, "delete")).content.decode()
        answer = admin_client.post(page(row, "delete"), {"post": "yes"}, follow=True)
        assert "An endpoint still uses this profile." in answer.content.decode()
        admin_client.post(page(spare, "delete"), {"post": "yes"})
        assert [left.name for left in WireProfile.objects.all()] == ["acme"]
        assert audited() == [("profile.deleted", "spare")]


class TestPages:
    @pytest.mark.parametrize("name", PROFILES)
    def test_a_new_one_starts_from_any_that_is_there(self, name: str, admin_client: Client) -> None:
        answer = admin_client.get(listing(WireProfile, "add"), {"from": name})
        text = answer.context["adminform"].form["definition"].value()
        assert parse_profile(name, json.loads(text)) == PROFILES[name]
        assert answer.context["preview"].faults == []

    def test_a_new_one_starts_from_the_standard_otherwise(self, admin_client: Client) -> None:
        for query in ({}, {"from": "nobody"}):
            answer = admin_client.get(listing(WireProfile, "add"), query)
            text = answer.context["adminform"].form["definition"].value()
            assert parse_profile("standard", json.loads(text)) == PROFILES["standard"]

    def test_one_that_cannot_be_read_can_be_mended(self, admin_client: Client) -> None:
        row = make()
        WireProfile.objects.update(definition={"colour": "red"})
        assert "Cannot be read" in admin_client.get(listing(WireProfile)).content.decode()
        answer = admin_client.get(page(row)).content.decode()
        assert "&quot;colour&quot;: &quot;red&quot;" in answer
        assert "There is no such member." in answer
        admin_client.post(page(row), posted(row, definition=TEXT))
        assert audited() == [("profile.updated", "acme")]

    def test_lists_take_no_more_queries_for_more_rows(
        self, admin_client: Client, django_assert_num_queries: Any
    ) -> None:
        make()
        admin_client.get(listing(WireProfile))
        for number in range(3):
            make(f"more-{number}")
        with django_assert_num_queries(5):
            admin_client.get(listing(WireProfile))

    def test_scripts_and_styles_come_from_files(self, admin_client: Client) -> None:
        text = admin_client.get(listing(WireProfile, "add")).content.decode()
        assert "subscriptions/profiles.js" in text
        assert not re.search(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)", text)
        assert " style=" not in text
        assert "onclick" not in text

    def test_what_may_stand_where_is_said_beside_it(self, admin_client: Client) -> None:
        text = admin_client.get(listing(WireProfile, "add")).content.decode()
        for word in ("jws-es256", "trimmed_base64", "{form_sorted}", "{payload.member?}", "{items}"):
            assert f'<code class="signet-code">{word}</code>' in text


class TestPreview:
    def test_a_sample_as_it_would_be_sent(self, admin_client: Client) -> None:
        text = preview(admin_client, TEXT)
        assert "&quot;type&quot;:&quot;invoice.paid&quot;" in text
        assert '<span class="signet-name">Acme-Signature:</span>' in text
        assert text == preview(admin_client, TEXT)

    def test_a_type_brings_its_example_and_a_payload_its_very_bytes(self, admin_client: Client) -> None:
        make_type("card.blocked", example={"card": "c_1"})
        assert "{&quot;card&quot;:&quot;c_1&quot;}" in preview(admin_client, "{}", event_type="card.blocked")
        typed = preview(admin_client, "{}", event_type="card.blocked", payload='{"a": 1.10}')
        assert "{&quot;a&quot;: 1.10}" in typed

    def test_two_secrets_sign_while_one_is_rotated(self, admin_client: Client) -> None:
        assert "Acme-Signature-Previous:" not in preview(admin_client, TEXT)
        assert "Acme-Signature-Previous:" in preview(admin_client, TEXT, rotating="on")

    @pytest.mark.parametrize(
        ("definition", "sample", "sentence"),
        [
            (BROKEN, {}, "<strong>Signature 1 › message</strong> There is no placeholder {nope} here."),  # noqa: RUF001
            ("{", {}, "<strong>Definition</strong> The text is not JSON"),
            ("", {}, "<strong>Definition</strong> The text is not JSON"),
            ("[" * 100_001, {}, "more than 100000 characters"),
            ("{}", {"payload": "{"}, "<strong>Payload</strong> The payload is not JSON"),
            ("{}", {"event_type": "x" * 129}, "<strong>Sample</strong> Ensure this value has at most 128"),
            ('{"body": {"kind": "form"}}', {"payload": "[1]"}, "This event cannot be sent in this format."),
        ],
    )
    def test_what_is_wrong_is_told_instead(
        self, definition: str, sample: dict[str, str], sentence: str, admin_client: Client
    ) -> None:
        text = preview(admin_client, definition, **sample)
        assert sentence in text
        assert "<h3>" not in text

    def test_what_is_shown_is_inert(self, admin_client: Client) -> None:
        definition = json.dumps({"headers": {"A": "<script>alert(1)</script>"}, "source": "<b>"})
        text = preview(admin_client, definition, payload='"<img src=x>"', event_type="<i>")
        assert "&lt;script&gt;" in text
        assert not re.search(r"<(script|img|i|b)\b", text)

    def test_the_button_shows_and_saves_nothing(self, admin_client: Client) -> None:
        row = make()
        sample = {"_preview": "1", "sample-event_type": "a.b"}
        answer = admin_client.post(page(row), posted(row, definition=TEXT, description="typed", **sample))
        assert answer.status_code == 200
        assert "&quot;type&quot;:&quot;a.b&quot;" in answer.content.decode()
        assert answer.context["adminform"].form["description"].value() == "typed"
        assert not answer.context["errors"]
        added = admin_client.post(listing(WireProfile, "add"), {"definition": BROKEN, "_preview": "1"})
        assert "There is no placeholder {nope} here." in added.content.decode()
        assert audited() == []
        assert WireProfile.objects.get().version == 1


class TestPermissions:
    def test_strangers_see_nothing(self, db: None, client: Client) -> None:
        row = make()
        assert client.post(PREVIEW, {"definition": "{}"}).status_code == 302
        clerk = staff_with("view_merchant")
        for address in (listing(WireProfile), listing(WireProfile, "add"), page(row)):
            assert clerk.get(address).status_code == 403
        assert clerk.post(PREVIEW, {"definition": "{}"}).status_code == 403
        assert clerk.post(page(row, "delete"), {"post": "yes"}).status_code == 403
        assert WireProfile.objects.get().version == 1

    def test_viewers_look_and_change_nothing(self, db: None) -> None:
        row = make()
        clerk = staff_with("view_wireprofile")
        text = clerk.get(page(row)).content.decode()
        assert "As it would be sent." in text
        assert 'name="_preview"' not in text
        assert clerk.post(page(row), posted(row, description="x")).status_code == 403
        assert clerk.post(page(row, "delete"), {"post": "yes"}).status_code == 403
        row.refresh_from_db()
        assert (row.description, row.version) == ("", 1)

    def test_a_preview_needs_the_token_and_is_posted(self, admin_client: Client, admin_user: Any) -> None:
        assert reverse("admin:subscriptions_wireprofile_preview") == PREVIEW
        assert admin_client.get(PREVIEW).status_code == 405
        strict = Client(enforce_csrf_checks=True)
        strict.force_login(admin_user)
        assert strict.post(PREVIEW, {"definition": "{}"}).status_code == 403


@pytest.mark.parametrize(
    ("pointer", "words"),
    [
        ("", ""),
        ("/key_form", "key_form"),
        ("/signatures/0/message", "Signature 1 › message"),  # noqa: RUF001
        ("/headers/3", "Header 4"),
        ("/headers/X~1Y~0", "headers › X/Y~"),  # noqa: RUF001
        ("/retry/schedule/2", "retry › schedule 3"),  # noqa: RUF001
    ],
)
def test_pointers_in_words(pointer: str, words: str) -> None:
    assert in_words(pointer) == words


@pytest.mark.parametrize("name", PROFILES)
def test_what_is_laid_out_reads_the_same_and_only_single_values_make_long_lines(name: str) -> None:
    shown = editable(PROFILES[name])
    text = laid_out(shown)
    assert json.loads(text) == shown
    long = [line.removesuffix(",") for line in text.splitlines() if len(line) > WIDTH + len(",")]
    assert [line for line in long if line.endswith(("]", "}"))] == []
