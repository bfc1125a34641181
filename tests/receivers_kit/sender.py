"""The provider's side: what an endpoint of any profile is sent, signed by whom and when the test says."""

import base64
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_network

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dispatcher.ack import judge
from dispatcher.addresses import AddressRules
from dispatcher.http import Client, Limits, Request, make_client
from dispatcher.outcomes import Outcome
from dispatcher.profiles.engine import Message, ProviderKey, Rendered, Secret, Wire, prepare, provider_families
from dispatcher.profiles.headers import NO_AUTH, Auth
from dispatcher.profiles.key_pairs import KeyPair, make_key_pair
from dispatcher.profiles.model import Profile
from dispatcher.profiles.secrets import generate
from dispatcher.targets import Target
from tests.receivers_kit.own_profiles import OWN

PAYLOAD = (
    '{"id":"inv_123456","type":"MK","text":"Ačiū 漢字 {body} {timestamp} a&b=c+d %41 ${x} #{y}","empty":"",'
    '"amount":"1.50","Zed":1,"a.b":"dot","a b":"space"}'
).encode()
USER = "portfolio-7"
OVERLAP = timedelta(hours=1)
CREATED = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Sender:
    """Delivers to one receiver. Names such as `current` and `old` stand for keys, made when first asked for."""

    profile: Profile
    target: Target
    client: Client

    def render(self, *names: str, at: datetime | None = None, attempt: int = 1) -> Rendered:
        """An attempt of an event at that time, now unless given, signed by these keys, the newest first."""
        now = at or datetime.now(UTC)
        return prepare(wire(self.profile, self.target, *names, now=now))(message(now, attempt))

    def send(self, rendered: Rendered, *, target: Target | None = None) -> Outcome:
        """What became of it, judged by the profile's own rule."""
        self.client.submit(Request(1, target or self.target, rendered.headers, rendered.body))
        while not (finished := self.client.poll(1.0)):
            pass
        return judge(finished[0].outcome, self.profile.ack)

    def at_path(self, path: str) -> Target:
        return replace(self.target, path=path)


def client() -> Client:
    return make_client("curl", rules=AddressRules((ip_network("127.0.0.0/8"),)), limits=Limits())


def message(now: datetime, attempt: int) -> Message:
    return Message(
        event_id="evt_1",
        event_type="invoice.paid",
        payload=PAYLOAD,
        occurred_at=CREATED,
        account=None,
        merchant="m-42",
        delivery_id="del_1",
        attempt=attempt,
        now=now,
    )


def wire(profile: Profile, target: Target, *names: str, now: datetime) -> Wire:
    newest, *others = names
    ends = [(newest, None), *[(name, now + OVERLAP) for name in others]]
    secrets = () if profile.key_form == "none" else tuple(Secret(secret(profile, name), end) for name, end in ends)
    keys = tuple(
        ProviderKey(family, pair(family, name).private_pem, signs_until=end)
        for family in provider_families(profile)
        for name, end in ends
    )
    auth = NO_AUTH if profile.signatures else Auth("basic", USER, password(newest))
    return Wire(profile, target, secrets, auth=auth, provider_keys=keys)


def password(name: str) -> str:
    return f"pass wörd: £{name}"


def secret(profile: Profile, name: str) -> str:
    return _secret(profile.name, name)


@cache
def _secret(profile: str, name: str) -> str:
    from dispatcher.profiles.catalogue import PROFILES

    return generate({**PROFILES, **OWN}[profile])


@cache
def pair(family: str, name: str) -> KeyPair:
    return make_key_pair(family, common_name=name, now=CREATED)


def receivers_half(profile: Profile, name: str) -> str:
    """What the merchant is given of a secret: all of it, or the public half where there is one and that will do."""
    text = secret(profile, name)
    if profile.name == "own-ed25519-hex":
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(text)).public_key().public_bytes_raw().hex()
    if text.startswith("whsk_") and name == "old":
        return "whpk_" + base64.b64encode(base64.b64decode(text.removeprefix("whsk_"))[32:]).decode()
    return text
