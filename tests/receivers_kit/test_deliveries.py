"""Every profile's receiver in every language: on a real socket, accepts what is sent and refuses everything else."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import pytest

from dispatcher.http import Client
from dispatcher.outcomes import Reason
from dispatcher.profiles.catalogue import PROFILES
from dispatcher.profiles.engine import Rendered, provider_families
from dispatcher.receivers import LANGUAGES
from dispatcher.receivers.recipe import Recipe, recipe
from dispatcher.targets import Target
from tests.receivers_kit.own_profiles import OWN
from tests.receivers_kit.programs import HOST, PATH, Programs, free_port, require_tools
from tests.receivers_kit.sender import USER, Sender, pair, password, receivers_half

ALL = {**PROFILES, **OWN}
SIGNED = [name for name, profile in ALL.items() if profile.signatures]
TIMED = [name for name, profile in ALL.items() if recipe(profile, path=PATH).is_timed]
TOO_OLD = timedelta(minutes=10)
GARBAGE = ("", "x", "v1,!!!!", "v1a,QUJD", "=", "sha256=" + 64 * "0", "t=1,v1=", "é" * 3, "..", "a..b", 200 * "A")


def every(profiles: Iterable[str], *, languages: Iterable[str] = LANGUAGES) -> pytest.MarkDecorator:
    cases = [(language, name) for language in languages for name in profiles]
    ids = [f"{language}-{name}" for language, name in cases]
    return pytest.mark.parametrize("stage", cases, ids=ids, indirect=True, scope="module")


@dataclass(frozen=True, slots=True)
class Stage:
    """A running receiver that knows the keys `current` and `old`, and what it was told to do."""

    language: str
    sender: Sender
    recipe: Recipe

    def is_accepted(self, rendered: Rendered) -> bool:
        """Asserts that what is not accepted is refused in so many words, not dropped."""
        outcome = self.sender.send(rendered)
        if outcome.reason is Reason.DELIVERED:
            return True
        assert outcome.status == self.recipe.refusal, outcome
        return False


@pytest.fixture(scope="module")
def stage(
    request: pytest.FixtureRequest,
    programs: Callable[[str], Programs],
    curl: Client,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stage]:
    language, name = request.param
    require_tools(language)
    port = free_port()
    target = Target("http", HOST, port, PATH)
    environment = known(name, target, tmp_path_factory.mktemp("keys"))
    with programs(language).running(name, port, environment):
        yield Stage(language, Sender(ALL[name], target, curl), recipe(ALL[name], path=PATH))


def known(name: str, target: Target, folder: Path) -> dict[str, str]:
    """What the merchant tells the receiver: everything it knows, whether this profile needs it or not."""
    profile = ALL[name]
    told = {"WEBHOOK_URL": target.url, "WEBHOOK_USER": USER}
    if profile.key_form != "none":
        told |= {"WEBHOOK_SECRET": receivers_half(profile, "current")}
        told |= {"WEBHOOK_SECRET_PREVIOUS": receivers_half(profile, "old")}
    elif not profile.signatures:
        told |= {"WEBHOOK_SECRET": password("current"), "WEBHOOK_SECRET_PREVIOUS": password("old")}
    for family in provider_families(profile):
        keys = folder / "keys.pem"
        keys.write_text("".join(pair(family, key).public_pem for key in ("current", "old")))
        told["WEBHOOK_PUBLIC_KEY_FILE"] = str(keys)
    return told


@every(ALL)
def test_what_is_sent_is_accepted(stage: Stage) -> None:
    assert stage.is_accepted(stage.sender.render("current"))


@every(ALL)
def test_each_of_two_secrets_is_accepted_while_they_rotate(stage: Stage) -> None:
    assert stage.is_accepted(stage.sender.render("old"))
    for attempt in (1, 2, 3, 4):
        assert stage.is_accepted(stage.sender.render("current", "old", attempt=attempt))


@every(SIGNED)
def test_a_receiver_that_has_not_heard_of_the_new_secret_accepts_by_the_one_before(stage: Stage) -> None:
    """At once, or in a form's single field within four attempts."""
    is_in_turn = stage.recipe.signature_fields and not stage.recipe.is_list
    attempts = (1, 2, 3, 4) if is_in_turn else (1,)
    accepted = [stage.is_accepted(stage.sender.render("next", "current", attempt=attempt)) for attempt in attempts]
    assert any(accepted)
    assert all(accepted) is not bool(is_in_turn)


@every(ALL)
def test_another_s_signature_is_refused(stage: Stage) -> None:
    assert not stage.is_accepted(stage.sender.render("stranger"))


@every(SIGNED)
def test_an_altered_body_is_refused(stage: Stage) -> None:
    assert not stage.is_accepted(altered(stage.sender.render("current"), stage))


@every(TIMED)
def test_an_old_time_and_one_to_come_are_refused(stage: Stage) -> None:
    now = datetime.now(UTC)
    assert stage.is_accepted(stage.sender.render("current", at=now - timedelta(minutes=4)))
    assert not stage.is_accepted(stage.sender.render("current", at=now - TOO_OLD))
    assert not stage.is_accepted(stage.sender.render("current", at=now + TOO_OLD))


@every(TIMED)
def test_an_old_delivery_with_a_new_time_is_refused(stage: Stage) -> None:
    now = datetime.now(UTC)
    old, new = (str(int(at.timestamp())) for at in (now - TOO_OLD, now))
    rendered = stage.sender.render("current", at=now - TOO_OLD)
    headers = tuple((name, value.replace(old, new)) for name, value in rendered.headers)
    assert headers != rendered.headers
    assert not stage.is_accepted(rendered._replace(headers=headers))


@every(ALL)
def test_what_is_no_signature_is_refused_and_breaks_nothing(stage: Stage) -> None:
    rendered = stage.sender.render("current")
    for garbage in GARBAGE:
        assert not stage.is_accepted(with_signature(rendered, stage, garbage))
    bare = tuple(header for header in rendered.headers if header[0] in {"Content-Type", "User-Agent"})
    assert not stage.is_accepted(rendered._replace(headers=bare, body=b"%zz&=%ff=;\xff\x00"))
    assert not stage.is_accepted(rendered._replace(headers=bare, body=b""))
    assert stage.is_accepted(rendered)


# A PHP script's path is where the web server has it.
@every(ALL, languages=[language for language in LANGUAGES if language != "php"])
def test_another_path_is_not_answered(stage: Stage) -> None:
    for path in ("/", f"{PATH}/", f"{PATH}x"):
        assert stage.sender.send(stage.sender.render("current"), target=stage.sender.at_path(path)).status == 404
    query = stage.sender.at_path(f"{PATH}?a=1")
    assert stage.sender.send(stage.sender.render("current"), target=query).reason is Reason.DELIVERED


def altered(rendered: Rendered, stage: Stage) -> Rendered:
    """One character of what it says is another."""
    if stage.recipe.profile.body.kind == "b64url_form":
        fields = parse_qsl(rendered.body.decode(), strict_parsing=True)
        [(name, data), *others] = fields
        return rendered._replace(
            body=urlencode([(name, f"{data[:8]}{'B' if data[8] == 'A' else 'A'}{data[9:]}"), *others]).encode()
        )
    body = rendered.body.replace(b"inv_123456", b"inv_123457")
    assert body != rendered.body
    return rendered._replace(body=body)


def with_signature(rendered: Rendered, stage: Stage, text: str) -> Rendered:
    """In the place of the one that the receiver looks at."""
    signature = stage.recipe.signature
    if signature is not None and signature.place == "field":
        fields = parse_qsl(rendered.body.decode(), strict_parsing=True, keep_blank_values=True)
        body = urlencode([(name, text if name == signature.name else value) for name, value in fields]).encode()
        return rendered._replace(body=body)
    name = signature.name if signature else "Authorization"
    headers = tuple((key, text if key == name else value) for key, value in rendered.headers)
    assert headers != rendered.headers
    return rendered._replace(headers=headers)
