"""What a receiver is made of: which signature is verified, what is answered, and formats that nobody could verify."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from dispatcher.ack import AckRule, BodyContains, BodyStartsWith, PointerEquals, StatusIn
from dispatcher.profiles.catalogue import PROFILES
from dispatcher.profiles.declaration import declare, parse_profile
from dispatcher.profiles.model import Body, Profile, Retry, Signature
from dispatcher.receivers import LANGUAGES, Unverifiable, snippet
from dispatcher.receivers.layout import fill
from dispatcher.receivers.recipe import Answer, recipe
from tests.receivers_kit.own_profiles import OWN
from tests.receivers_kit.programs import require_tools

PATH = "/in/webhooks"


def own(*signatures: Signature, body: Body | None = None, headers: tuple[tuple[str, str], ...] = ()) -> Profile:
    return Profile("own", "a test", body=body or Body(), headers=headers, signatures=signatures)


def chosen(profile: Profile) -> str:
    signature = recipe(profile, path=PATH).signature
    return signature.name if signature else ""


@pytest.mark.parametrize("name", OWN)
def test_the_tests_own_formats_are_such_as_a_provider_may_define(name: str) -> None:
    assert parse_profile(name, declare(OWN[name])) == OWN[name]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", PROFILES)
def test_a_receiver_reads_its_key_from_the_environment(name: str, language: str) -> None:
    made = snippet(PROFILES[name], language, url_path="/shop/in")
    assert made.language == language
    assert made.notes
    assert '"/shop/in"' in made.code or language == "php"
    key = "WEBHOOK_PUBLIC_KEY_FILE" if "paysera" in name and name != "paysera-checkout" else "WEBHOOK_SECRET"
    assert key in made.code
    assert "<<" not in made.code.replace("List<<", "").replace("1 << 20", "")
    assert "%%" not in made.code


def test_the_path_is_the_default_one_where_none_is_given() -> None:
    assert 'PATH = "/webhooks"' in snippet(PROFILES["stripe"], "python").code


def test_an_unknown_language_is_told() -> None:
    with pytest.raises(KeyError):
        snippet(PROFILES["stripe"], "cobol")


class TestChoice:
    def test_what_ends_replays_goes_before_what_does_not(self) -> None:
        assert chosen(PROFILES["default"]) == "webhook-signature"
        assert "Also sent, and not needed beside it: X-Webhook-Signature." in snippet(PROFILES["default"], "go").notes

    def test_the_strongest_of_several_is_verified(self) -> None:
        assert chosen(PROFILES["paysera-checkout-classic"]) == "ss3"
        assert chosen(OWN["own-rsa"]) == "Acme-Signature"

    def test_what_covers_the_content_goes_before_everything_else(self) -> None:
        headers = (("At", "{timestamp}"),)
        only_time = Signature("Time", "utf8", algorithm="hmac-sha512", message="{timestamp}")
        assert chosen(own(only_time, Signature("Whole", "utf8", algorithm="hmac-sha1"), headers=headers)) == "Whole"

    def test_what_can_be_verified_is_taken_where_another_cannot(self) -> None:
        blind = Signature("Blind", "utf8", algorithm="hmac-sha512", message="{attempt}.{body}")
        assert chosen(own(blind, Signature("Plain", "utf8"))) == "Plain"

    def test_a_value_is_read_from_the_header_that_belongs_to_the_signature(self) -> None:
        assert recipe(PROFILES["default"], path=PATH).carriers == (
            ("id", "webhook-id"),
            ("timestamp", "webhook-timestamp"),
        )
        assert recipe(PROFILES["slack"], path=PATH).carriers == (("timestamp", "X-Slack-Request-Timestamp"),)

    @pytest.mark.parametrize(
        ("name", "header", "member"),
        [
            ("standard", "webhook-id", ""),
            ("github", "X-GitHub-Delivery", ""),
            ("stripe", "", "id"),
            ("paisr", "", ""),
            ("paysera", "", ""),
        ],
    )
    def test_where_the_event_s_id_is(self, name: str, header: str, member: str) -> None:
        made = recipe(PROFILES[name], path=PATH)
        assert (made.id_header, made.id_member) == (header, member)


class TestAnswers:
    @pytest.mark.parametrize(
        ("rule", "answer"),
        [
            (StatusIn((202, 204)), Answer(202)),
            (BodyStartsWith("OK"), Answer(200, "OK")),
            (BodyContains("[accepted]"), Answer(200, "[accepted]")),
            (PointerEquals("/status", "ok"), Answer(200, '{"status": "ok"}', "application/json")),
            (PointerEquals("/a~1b/0", True), Answer(200, '{"a/b": {"0": true}}', "application/json")),
            (PointerEquals("", 1.5), Answer(200, "1.5", "application/json")),
        ],
    )
    def test_it_is_what_the_rule_asks_for(self, rule: AckRule, answer: Answer) -> None:
        assert recipe(replace(PROFILES["github"], ack=rule), path=PATH).answer == answer

    def test_a_refusal_is_one_that_is_tried_again(self) -> None:
        for stops, status in ((frozenset[int](), 400), (frozenset({400}), 403), (frozenset({400, 403, 422}), 503)):
            profile = replace(PROFILES["github"], retry=Retry(schedule=(60,), stop_statuses=stops))
            assert recipe(profile, path=PATH).refusal == status


FORM = Body("form")
UNVERIFIABLE = {
    "a value that is in no header": (own(Signature("S", "utf8", message="{timestamp}.{body}")), r"{timestamp}"),
    "the payload within an envelope": (
        own(Signature("S", "utf8", message="{payload}"), body=Body("envelope", '{"data": "{payload}"}')),
        "the payload, whose bytes",
    ),
    "the payload behind a form": (
        own(Signature("s", "utf8", message="{payload}", place="field"), body=FORM),
        "payload",
    ),
    "nothing between items": (own(Signature("S", "utf8", join="")), "cannot be told apart"),
    "a separator that items have": (own(Signature("S", "utf8", join="a")), "cannot be told apart"),
    "a separator within the item": (own(Signature("S", "utf8", item="v1,{signature}", join=",")), "told apart"),
    "more than ASCII around it": (own(Signature("S", "utf8", item="é{signature}")), "ASCII"),
}


@pytest.mark.parametrize(("profile", "why"), UNVERIFIABLE.values(), ids=UNVERIFIABLE)
def test_a_format_that_nobody_could_verify_has_no_receiver(profile: Profile, why: str) -> None:
    for language in LANGUAGES:
        with pytest.raises(Unverifiable, match=why):
            snippet(profile, language)


class TestLayout:
    def test_lines_come_and_go(self) -> None:
        template = "a\n%% if x !y\nb\n%% elif y|z\nc\n%% if x\nd\n%% end\n%% else\ne\n%% end\nf"
        facts = {"x": True, "y": False, "z": False}
        assert fill(template, facts) == "a\nb\nf\n"
        assert fill(template, facts | {"y": True}) == "a\nc\nd\nf\n"
        assert fill(template, facts | {"x": False}) == "a\ne\nf\n"

    def test_values_keep_the_beginning_of_their_line(self) -> None:
        facts = {"text": "one\n\ntwo", "none": "", "word": "<<text>> %% if"}
        assert (
            fill("  # <<text>>\n  <<none>>\nx<<none>>y <<word>>", facts) == "  # one\n  #\n  # two\nxy <<text>> %% if\n"
        )

    def test_a_missing_fact_and_a_missing_end_are_told(self) -> None:
        with pytest.raises(KeyError, match="gone"):
            fill("<<gone>>", {})
        with pytest.raises(ValueError, match="no end"):
            fill("%% if x\na", {"x": True})


class TestForm:
    """As the language's own tools would have it."""

    def write(self, language: str, folder: Path) -> list[Path]:
        files = []
        for name, profile in PROFILES.items():
            made = snippet(profile, language)
            (folder / name).mkdir()
            files.append(folder / name / made.filename)
            files[-1].write_text(made.code, "utf-8")
        return files

    def test_python_is_as_ruff_formats_and_likes_it(self, tmp_path: Path) -> None:
        self.write("python", tmp_path)
        ruff = (sys.executable, "-m", "ruff")
        options = ("--isolated", "--line-length", "120", "--target-version", "py39", str(tmp_path))
        for command in (
            ("format", "--check"),
            ("check", "--select", "A,B,C4,E,F,I,N,PERF,PIE,RET,SIM,UP,W", "--ignore", "N802"),
        ):
            done = subprocess.run((*ruff, *command, *options), capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout

    def test_go_is_as_gofmt_formats_it(self, tmp_path: Path) -> None:
        require_tools("go")
        files = self.write("go", tmp_path)
        done = subprocess.run(("gofmt", "-l", *map(str, files)), capture_output=True, text=True, check=True)
        assert done.stdout == ""

    def test_ruby_has_no_warnings(self, tmp_path: Path) -> None:
        require_tools("ruby")
        for file in self.write("ruby", tmp_path):
            done = subprocess.run(("ruby", "-wc", str(file)), capture_output=True, text=True, check=True)
            assert (done.stdout, done.stderr) == ("Syntax OK\n", "")

    @pytest.mark.parametrize("language", LANGUAGES)
    def test_no_line_is_too_long_to_read(self, language: str, tmp_path: Path) -> None:
        for file in self.write(language, tmp_path):
            assert max(len(line) for line in file.read_text("utf-8").splitlines()) <= 120, file
