"""Judges where an endpoint wants its deliveries: the text at once, the name behind it as far as it resolves now."""

from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from django.conf import settings

from dispatcher.addresses import AddressRules
from dispatcher.http.resolver import Resolver
from dispatcher.outcomes import Reason
from dispatcher.targets import SENTENCES, InvalidUrl, Target, TargetRules, parse_target
from subscriptions.services.shapes import wrong

RESOLVE_S = 2.0
# A name that takes longer counts as one that does not resolve yet: the check at connect time decides.


def check_url(value: Any) -> Target:
    """The target behind a URL. Raises Wrong with one constant sentence for each of the two codes."""
    if not isinstance(value, str):
        raise wrong("wrong_type", "This must be a text.")
    try:
        target = parse_target(value, rules=target_rules())
    except InvalidUrl as trouble:
        raise wrong(str(trouble.code), str(trouble)) from None
    if _resolves_to_refused(target):
        raise wrong(str(Reason.BLOCKED_ADDRESS), SENTENCES[Reason.BLOCKED_ADDRESS])
    return target


def is_same_place(url: str, target: Target) -> bool:
    """Whether what may see a credential of `url` is who would see it at `target`: same scheme, host and port."""
    try:
        old = parse_target(url, rules=target_rules())
    except InvalidUrl:
        return False
    return (old.scheme, old.host, old.port) == (target.scheme, target.host, target.port)


def _resolves_to_refused(target: Target) -> bool:
    if target.address is not None:
        return False
    answer = _resolver(tuple(settings.ALLOWED_TARGET_NETWORKS)).wait(target.host, timeout_s=RESOLVE_S)
    return answer is not None and answer.reason is Reason.BLOCKED_ADDRESS


def target_rules() -> TargetRules:
    """The rules of this installation, the same when an endpoint is registered and when it is sent to."""
    return _target_rules(
        bool(settings.ALLOW_HTTP_TARGETS),
        frozenset(settings.ALLOWED_HOSTS),
        tuple(settings.ALLOWED_TARGET_NETWORKS),
    )


@lru_cache(maxsize=4)
def _target_rules(
    allow_http: bool,  # noqa: FBT001 - a cache key
    own_hosts: frozenset[str],
    allowed_networks: tuple[IPv4Network | IPv6Network, ...],
) -> TargetRules:
    return TargetRules(allow_http=allow_http, own_hosts=own_hosts, allowed_networks=allowed_networks)


@lru_cache(maxsize=4)
def _resolver(allowed_networks: tuple[IPv4Network | IPv6Network, ...]) -> Resolver:
    return Resolver(rules=AddressRules(allowed_networks))
