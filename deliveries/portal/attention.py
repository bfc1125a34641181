"""Which endpoints need somebody's attention, why, and the one thing that helps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from deliveries.selectors.failing import Failing
from dispatcher.words import ADVICE, said
from subscriptions.models import Endpoint
from subscriptions.services.endpoint_channels import UNSUBSCRIBED, UNVERIFIED
from subscriptions.services.endpoint_rows import PAUSED
from subscriptions.services.endpoints import FAILING
from subscriptions.services.holds import HELD

GONE = "http_gone"
DISABLED_WORDS: Mapping[str, str] = {
    FAILING: "Disabled after days in which it took nothing",
    GONE: "Disabled: the receiver answered 410, it wants no more",
    HELD: "Held by the provider's operators",
    UNVERIFIED: "The owner of the address has not confirmed it yet",
    UNSUBSCRIBED: "The owner of the address wants nothing more",
    PAUSED: "Paused",
}
DISABLED_ADVICE: Mapping[str, str] = {
    HELD: "Events are held until the provider releases them. Ask the provider why.",
    UNVERIFIED: "Send a new code and ask the owner of the address for it.",
    UNSUBSCRIBED: "Delete this endpoint, or ask the owner of the address.",
}
USUAL_ADVICE = "Mend the receiver, test it, enable the endpoint again, and release what was held meanwhile."


@dataclass(frozen=True, slots=True)
class Attention:
    """One endpoint with what is wrong. `failing` is set for one that is on and takes nothing."""

    endpoint: Endpoint
    state: str
    title: str
    advice: str
    failing: Failing | None = None


def needing_attention(living: Sequence[Endpoint], found: Sequence[Failing]) -> list[Attention]:
    """The worst first: disabled by us, unreadable, failing, unconfirmed. What was paused by hand is not wrong."""
    by_id = {one.endpoint_id: one for one in found}
    told = [one for endpoint in living if (one := of(endpoint, by_id))]
    order = {"disabled": 0, "unreadable": 1, "failing": 2, "unconfirmed": 3}
    return sorted(told, key=lambda one: order.get(one.state, len(order)))


def of(endpoint: Endpoint, failing: Mapping[UUID, Failing]) -> Attention | None:
    """None for an endpoint that works, or that its owner paused."""
    state = state_of(endpoint, failing)
    if state == "failing":
        found = failing[endpoint.id]
        return Attention(endpoint, state, said(found.reason, found.status), ADVICE.get(found.reason or "", ""), found)
    if state in {"active", "paused"}:
        return None
    if state == "unreadable":
        advice = "Its stored secret cannot be read. The provider's operators have been told; rotating it helps at once."
        return Attention(endpoint, state, "Nothing is sent: its secret cannot be read", advice)
    title = DISABLED_WORDS.get(endpoint.disabled_reason, "Disabled")
    return Attention(endpoint, state, title, DISABLED_ADVICE.get(endpoint.disabled_reason, USUAL_ADVICE))


def state_of(endpoint: Endpoint, failing: Mapping[UUID, Failing]) -> str:
    """active, failing, paused, disabled, unconfirmed or unreadable."""
    if not endpoint.is_active:
        if endpoint.disabled_reason in {UNVERIFIED, UNSUBSCRIBED}:
            return "unconfirmed"
        return "paused" if endpoint.disabled_reason == PAUSED else "disabled"
    if endpoint.unreadable_since is not None:
        return "unreadable"
    return "failing" if endpoint.id in failing else "active"
