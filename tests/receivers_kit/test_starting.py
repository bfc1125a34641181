"""What a receiver makes of its environment: one secret is enough, none is not."""

import base64
import hmac
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from dispatcher.http import Client
from dispatcher.outcomes import Reason
from dispatcher.profiles.catalogue import PROFILES
from dispatcher.profiles.engine import Rendered, Secret, Wire, prepare
from dispatcher.receivers import LANGUAGES
from dispatcher.targets import Target
from tests.receivers_kit.programs import HOST, PATH, Programs, free_port, require_tools
from tests.receivers_kit.sender import Sender, message

START_S = 30
OWN_WORDS = "a secret of my own: ž, not whsec_"


@dataclass(frozen=True, slots=True)
class Bare:
    """The receivers of one language, not started yet."""

    language: str
    programs: Programs
    client: Client


@pytest.fixture(params=LANGUAGES)
def bare(request: pytest.FixtureRequest, programs: Callable[[str], Programs], curl: Client) -> Bare:
    require_tools(request.param)
    return Bare(request.param, programs(request.param), curl)


def sender(bare: Bare, port: int) -> Sender:
    return Sender(PROFILES["default"], Target("http", HOST, port, PATH), bare.client)


def test_one_secret_is_enough_and_may_be_any_text(bare: Bare) -> None:
    port = free_port()
    with bare.programs.running("default", port, {"WEBHOOK_SECRET": OWN_WORDS}):
        to = sender(bare, port)
        now = datetime.now(UTC)
        wire = Wire(to.profile, to.target, (Secret(OWN_WORDS),))
        assert to.send(prepare(wire)(message(now, 1))).reason is Reason.DELIVERED
        stranger = Wire(to.profile, to.target, (Secret("another"),))
        assert to.send(prepare(stranger)(message(now, 1))).status == 400
        assert to.send(signed_with_nothing(prepare(stranger)(message(now, 1)))).status == 400


def signed_with_nothing(rendered: Rendered) -> Rendered:
    """By an empty key: what a receiver would accept that takes a secret which is not set for one."""
    headers = dict(rendered.headers)
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + rendered.body
    headers["webhook-signature"] = "v1," + base64.b64encode(hmac.digest(b"", signed, "sha256")).decode()
    return rendered._replace(headers=tuple(headers.items()))


@pytest.mark.parametrize("environment", [{}, {"WEBHOOK_SECRET": ""}], ids=["unset", "empty"])
def test_without_a_secret_nothing_is_accepted(bare: Bare, environment: dict[str, str]) -> None:
    """It does not start; PHP's, which reads it at every request, fails then."""
    port = free_port()
    if bare.language == "php":
        with bare.programs.running("default", port, environment):
            to = sender(bare, port)
            assert to.send(to.render("current")).status == 500
        return
    process = bare.programs.start("default", port, environment, output=subprocess.DEVNULL)
    try:
        assert process.wait(START_S) != 0
    finally:
        process.kill()
        process.wait()
