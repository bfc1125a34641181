"""Endpoints made ready to send to: URL judged, secrets opened, profile compiled; kept until their version changes."""

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.conf import settings

from deliveries.channels.texts import Addressee
from dispatcher.ack import ANY_SUCCESS, AckRule, parse_ack
from dispatcher.keyring import DecryptionFailed
from dispatcher.outcomes import Outcome, Reason
from dispatcher.profiles.engine import Auth, ProviderKey, Rendered, Secret, Wire, prepare
from dispatcher.profiles.frame import Message
from dispatcher.profiles.model import Profile, Retry
from dispatcher.targets import InvalidUrl, Target, TargetRules, parse_target
from subscriptions.models import Endpoint
from subscriptions.selectors.sending import Sending, endpoints_to_send
from subscriptions.services import unreadable
from subscriptions.services.address_tokens import unsubscribe_url
from subscriptions.services.endpoint_addresses import recipient

logger = logging.getLogger(__name__)

CACHE_SIZE = 20_000
# Endpoints, at about 4 kB each. When it is full it starts anew: a cold endpoint costs a hundredth of a second.

PLATFORM_RETRY = Retry()
# Of an endpoint whose format is not there.
UNREADABLE = Outcome(Reason.INTERNAL_ERROR, detail="A stored secret could not be decrypted.")

Renderer = Callable[[Message], Rendered]


@dataclass(frozen=True, slots=True)
class Sendable:
    """What a request to the endpoint is made of."""

    target: Target
    render: Renderer
    ack: AckRule = ANY_SUCCESS


@dataclass(frozen=True, slots=True)
class Ready:
    """An endpoint as the sender needs it. `sendable` is an addressee where people get letters; it may also be the
    outcome that every attempt has."""

    version: int
    url: str
    schedule: tuple[int, ...]
    stop_statuses: frozenset[int]
    # Until then a secret before the current one is live.
    overlap_until: datetime | None
    sendable: Sendable | Addressee | Outcome

    def stops_at(self, *, now: datetime) -> frozenset[int]:
        """The statuses after which nothing is tried again. None during a rotation: a receiver that has not switched yet
        refuses what is signed with the new secret, and must get it later."""
        is_rotating = self.overlap_until is not None and now < self.overlap_until
        return frozenset() if is_rotating else self.stop_statuses


class EndpointCache:
    """The ready endpoints of one process."""

    def __init__(self, rules: TargetRules) -> None:
        self._rules = rules
        self._ready: dict[UUID, Ready] = {}

    def get_many(self, versions: Mapping[UUID, int], *, now: datetime) -> dict[UUID, Ready]:
        """The endpoints in at least the given versions; those missing are read in one statement."""
        missing = [
            endpoint_id
            for endpoint_id, version in versions.items()
            if (known := self._ready.get(endpoint_id)) is None or known.version < version
        ]
        if missing:
            if len(self._ready) + len(missing) > CACHE_SIZE:
                self._ready.clear()
                missing = list(versions)
            self._prepare(missing, now=now)
        return {endpoint_id: self._ready[endpoint_id] for endpoint_id in versions}

    def _prepare(self, endpoint_ids: Collection[UUID], *, now: datetime) -> None:
        found = endpoints_to_send(endpoint_ids)
        ready = {sending.id: make_ready(sending, self._rules) for sending in found}
        # Before they are kept: if Postgres fails here, all of it is done again.
        _tell(found, ready, now=now)
        self._ready |= ready


def _tell(found: Collection[Sending], ready: Mapping[UUID, Ready], *, now: datetime) -> None:
    """Which secrets do not open, or open again, where the endpoint does not say so yet."""
    marked = {sending.id for sending in found if sending.is_marked_unreadable}
    stuck = {endpoint_id for endpoint_id, one in ready.items() if one.sendable is UNREADABLE}
    sound = {endpoint_id for endpoint_id, one in ready.items() if not isinstance(one.sendable, Outcome)}
    if fresh := stuck - marked:
        unreadable.mark(fresh, now=now)
    if healed := marked & sound:
        unreadable.unmark(healed, now=now)


def make_ready(sending: Sending, rules: TargetRules) -> Ready:
    """Prepare an endpoint; what cannot be prepared becomes the outcome of its attempts, and harms nobody else."""
    retry = sending.format.retry if sending.format else PLATFORM_RETRY
    schedule = sending.retry_schedule
    if schedule is None:
        schedule = retry.waits(settings.RETRY_SCHEDULE)
    return Ready(
        version=sending.version,
        url=sending.url,
        schedule=schedule,
        stop_statuses=retry.stop_statuses,
        overlap_until=max((end for secret in sending.secrets if (end := secret.expires_at)), default=None),
        sendable=_sendable(sending, rules),
    )


def _sendable(sending: Sending, rules: TargetRules) -> Sendable | Addressee | Outcome:
    if sending.channel != Endpoint.Channel.WEBHOOK:
        return Addressee(sending.channel, recipient(sending.url), unsubscribe_url(sending.id, sending.url))
    profile = sending.format
    if profile is None:
        return Outcome(Reason.INTERNAL_ERROR, detail="The endpoint's profile is not there, or cannot be read.")
    try:
        target = parse_target(sending.url, rules=rules)
        ack = parse_ack(sending.ack) if sending.ack is not None else profile.ack
        return Sendable(target, prepare(_wire(sending, profile, target)), ack)
    except InvalidUrl as refusal:
        return Outcome(Reason(refusal.code), detail=str(refusal))
    except DecryptionFailed:
        logger.error("endpoint %s: a stored secret does not decrypt; nothing is sent there", sending.id)
        return UNREADABLE
    except Exception:
        # Whatever a row holds that nobody thought of: one such endpoint must not end the drain of all.
        logger.exception("endpoint %s cannot be prepared", sending.id)
        return Outcome(Reason.INTERNAL_ERROR, detail="The endpoint's settings cannot be used.")


def _wire(sending: Sending, profile: Profile, target: Target) -> Wire:
    return Wire(
        profile=profile,
        target=target,
        secrets=tuple(Secret(secret.open(), secret.expires_at) for secret in sending.secrets),
        headers=tuple(sending.headers.items()),
        provider_keys=tuple(
            ProviderKey(key.family, key.open(), key.signs_from, key.signs_until) for key in sending.provider_keys
        ),
        auth=Auth(sending.auth_type, sending.auth_name, sending.open_auth()),  # type: ignore[arg-type] # a constraint
    )
