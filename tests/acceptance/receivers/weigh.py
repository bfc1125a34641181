"""A process with one client and nothing else: sends to each URL it reads, and tells how much memory that took at most.

Run as `python -m tests.acceptance.receivers.weigh KIND`; a URL a line comes in, `reason growth_bytes` goes out.
"""

import sys
from ipaddress import ip_network
from pathlib import Path

from dispatcher.addresses import AddressRules
from dispatcher.http import Client, Limits, Request, make_client
from dispatcher.targets import TargetRules, parse_target

DEADLINE_S = 2.0
LOOPBACK = (ip_network("127.0.0.0/8"),)
RULES = TargetRules(allow_http=True, allowed_networks=LOOPBACK)


def _resident(name: str) -> int:
    """Bytes of this process in memory: VmRSS now, VmHWM at most since the peak was forgotten."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1_024
    raise RuntimeError(f"no {name} in /proc/self/status")


def send(client: Client, url: str) -> str:
    client.submit(Request(url, parse_target(url, rules=RULES), (), b"x"))
    while not (finished := client.poll(1.0)):
        pass
    return finished[0].outcome.reason.value


def main() -> None:
    client = make_client(sys.argv[1], rules=AddressRules(LOOPBACK), limits=Limits(deadline_s=DEADLINE_S))
    for line in sys.stdin:
        before = _resident("VmRSS")
        # 5: forget the peak (proc_pid_clear_refs(5)).
        Path("/proc/self/clear_refs").write_text("5")
        reason = send(client, line.strip())
        sys.stdout.write(f"{reason} {_resident('VmHWM') - before}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
