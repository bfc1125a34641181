"""What the tests of targets share: rules to judge by, and the two answers that a URL can get."""

from ipaddress import ip_network

import pytest

from dispatcher.outcomes import Reason
from dispatcher.targets import SENTENCES, InvalidUrl, Target, TargetRules, parse_target

STRICT = TargetRules()
HTTP = TargetRules(allow_http=True)
LOCAL = TargetRules(allow_http=True, allowed_networks=(ip_network("127.0.0.0/8"),))
OWN = TargetRules(
    own_hosts=frozenset(
        {"*", "api.signet.io", ".signet.dev", "Bücher.de.", "203.0.114.7", "[2606:4700:0::1]", "127.0.0.1"}
    ),
    allowed_networks=(ip_network("127.0.0.0/8"),),
)

INVALID = Reason.INVALID_URL
BLOCKED = Reason.BLOCKED_ADDRESS


def parse(url: str, rules: TargetRules = STRICT) -> Target:
    return parse_target(url, rules=rules)


def refused(url: str, rules: TargetRules = STRICT) -> tuple[Reason, str]:
    with pytest.raises(InvalidUrl) as caught:
        parse_target(url, rules=rules)
    assert str(caught.value) == SENTENCES[caught.value.code]
    return caught.value.code, caught.value.why
