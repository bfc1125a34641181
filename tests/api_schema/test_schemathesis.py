"""The API does what its document says, whatever is sent: schemathesis against a real web process on real Postgres.

Every check that schemathesis has is on, as they are by default: no 5xx; no status, content type or header that is not
documented; answers of the documented form; invalid data refused; nothing without a key; no method that is not
documented; what is deleted is gone, what is made is there; and neither merchant is shown what is the other's.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from django.utils import timezone

from config.api.openapi.routes import routes
from subscriptions.models import EventType, Merchant
from subscriptions.services import keys
from tests.api_schema.world import running_web
from tests.receivers.receiver import Receiver, Script
from tests.receivers.scripts import keep_alive

CONFIG = """
seed = 1
continue-on-failure = true
request-timeout = 20

[phases.stateful]
max-steps = 30

[auth.wfc]
path = "keys.json"
peers = ["alice", "bob"]

# Some rules are in no schema: which hosts are public, which types the catalogue has, what is set up here. All that fits
# the document must be readable, though, and of a length and a type that is taken.
[checks.positive_data_acceptance]
expected-statuses = ["2xx", 401, 403, 404, 409, 412, 422, 429]

[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 409, 412, 413, 415, 422, 429]

# Where any JSON fits the document, so does U+0000 somewhere in it.
[[operations]]
include-operation-id = ["publishEvent", "publishBatch", "testEndpoint", "createEventType", "updateEventType"]
checks.positive_data_acceptance.expected-statuses = ["2xx", 400, 401, 403, 404, 409, 422]

# The statistics of a deleted endpoint stay.
[[operations]]
include-operation-id = "getEndpointStatistics"
checks.use_after_free.enabled = false

[dictionaries]
url.values = ["{url}"]
type.values = ["invoice.paid", "invoice.sent"]
merchant.values = ["alice"]
channel.values = ["webhook"]
secret.values = ["whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="]
profile.values = {profiles}
version.values = ["*", '"1"', '"2"']
start.values = [""]

# What makes sense here, mostly: else random requests hardly ever get past the first refusal.
[parameters]
"body.url" = {{ dictionary = "url", probability = 0.8 }}
"body.endpoint" = {{ dictionary = "url", probability = 0.8 }}
"body.recipients[*].url" = {{ dictionary = "url", probability = 0.8 }}
"body.type" = {{ dictionary = "type", probability = 0.8 }}
"body.event_type" = {{ dictionary = "type", probability = 0.8 }}
"body.event_types[*]" = {{ dictionary = "type", probability = 0.8 }}
"body.events[*]" = {{ dictionary = "type", probability = 0.8 }}
"body.events[*].type" = {{ dictionary = "type", probability = 0.8 }}
"body.merchant" = {{ dictionary = "merchant", probability = 0.8 }}
"body.events[*].merchant" = {{ dictionary = "merchant", probability = 0.8 }}
"body.channel" = {{ dictionary = "channel", probability = 0.9 }}
"body.recipients[*].channel" = {{ dictionary = "channel", probability = 0.9 }}
"body.secret" = {{ dictionary = "secret", probability = 0.8 }}
"body.recipients[*].secret" = {{ dictionary = "secret", probability = 0.8 }}
"body.profile" = {{ dictionary = "profile", probability = 0.8 }}
"body.recipients[*].profile" = {{ dictionary = "profile", probability = 0.8 }}
"query.event_type" = {{ dictionary = "type", probability = 0.8 }}
"query.merchant" = {{ dictionary = "merchant", probability = 0.95 }}
"query.cursor" = {{ dictionary = "start", probability = 0.8 }}
"header.If-Match" = {{ dictionary = "version", probability = 0.8 }}
"""
# Each operation is tried as Alice first, and as the provider where she is refused with 403.

COMMON = (
    *("--config-file", "schemathesis.toml", "run", "openapi.json"),
    *("--no-color", "--warnings", "off"),
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def stage(tmp_path: Path, receive: Callable[[Script], Receiver]) -> Path:
    """A directory with the keys of two merchants and of the provider; and a receiver, so that nothing is ever sent to
    anybody else."""
    now = timezone.now()
    for name in ("invoice.paid", "invoice.sent"):
        EventType.objects.create(name=name, created_at=now, updated_at=now)
    owners: dict[str, Merchant | None] = {
        name: Merchant.objects.create(name=name, reference=name, created_at=now, updated_at=now)
        for name in ("alice", "bob")
    }
    texts = {
        name: keys.create(name=name, merchant=owner, now=now, actor="test").text
        for name, owner in {**owners, "provider": None}.items()
    }
    Merchant.objects.create(name="Shop 17", reference="shop-17", created_at=now, updated_at=now)
    entries = [
        {"name": name, "fixedHeaders": [{"name": "Authorization", "value": f"Bearer {text}"}]}
        for name, text in texts.items()
    ]
    (tmp_path / "keys.json").write_text(json.dumps({"auth": entries}))
    url = receive(keep_alive()).url("/in", name="127.0.0.1")
    (tmp_path / "schemathesis.toml").write_text(CONFIG.format(url=url, profiles='["default", "standard"]'))
    return tmp_path


def explore(stage: Path, *arguments: str, timeout_s: float) -> str:
    """What schemathesis tells after a run without a finding.

    It reads the document as it is served from a file: it would leave out the address that it has it from.
    """
    with running_web(stage / "web.log") as web:
        (stage / "openapi.json").write_bytes(web.read("/api/schema/"))
        done = subprocess.run(
            [sys.executable, "-m", "schemathesis.cli", *COMMON, "--url", web.url, *arguments],
            cwd=stage,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    count = len(routes())
    assert f"{count} selected / {count} total" in done.stdout
    return done.stdout


def test_examples_and_the_edges_of_every_parameter(stage: Path) -> None:
    explore(stage, "--phases", "examples,coverage", timeout_s=120)


@pytest.mark.slow
def test_random_requests(stage: Path) -> None:
    explore(stage, "--phases", "fuzzing", "--max-examples", "40", timeout_s=600)


@pytest.mark.slow
@pytest.mark.parametrize(("caller", "links"), [("provider", 60), ("alice", 30)])
def test_requests_that_follow_from_each_other(stage: Path, caller: str, links: int) -> None:
    """The links between operations, of which at least so many are followed to the end."""
    told = explore(
        stage,
        *("--auth-wfc-user", caller, "--phases", "stateful", "--max-examples", "400", "--max-time", "60"),
        timeout_s=300,
    )
    found = re.search(r"API Links: +(\d+) covered", told)
    assert found is not None
    assert int(found[1]) >= links, told
