"""A process of its own that sends one request to each URL it is given: `python -m … KIND URL…`, a reason a line.

For what clients and the libraries below them read from the environment when they are loaded.
"""

import sys
from ipaddress import ip_network

from dispatcher.addresses import AddressRules
from dispatcher.http import Limits, Request, make_client
from dispatcher.targets import TargetRules, parse_target

HERE = ip_network("127.0.0.1/32")
EVERYWHERE = (ip_network("0.0.0.0/0"), ip_network("::/0"))


def main() -> None:
    kind, *urls = sys.argv[1:]
    client = make_client(kind, rules=AddressRules((HERE,)), limits=Limits(deadline_s=5.0))
    for url in urls:
        target = parse_target(url, rules=TargetRules(allow_http=True, allowed_networks=EVERYWHERE))
        client.submit(Request(url, target, (("X-Webhook-Id", "evt_1"),), b"{}"))
        while not (finished := client.poll(1.0)):
            pass
        sys.stdout.write(finished[0].outcome.reason.value + "\n")
    client.close()


if __name__ == "__main__":
    main()
