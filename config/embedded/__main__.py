"""`python -m config.embedded start|stop|erase`: the embedded services by hand. `make clean` erases them."""

import argparse
import sys

from config.embedded import state
from config.embedded.errors import EmbeddedError
from config.embedded.services import Services


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m config.embedded", description=__doc__)
    parser.add_argument("action", choices=("start", "stop", "erase"))
    action = parser.parse_args().action
    if action != "start" and not state.state_dir().exists():
        return 0
    try:
        return _act(action, Services(state.state_dir()))
    except EmbeddedError as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _act(action: str, services: Services) -> int:
    if action == "start":
        urls = services.start()
        sys.stdout.write(f"DATABASE_URL={urls.database_url}\nREDIS_URL={urls.redis_url}\n")
        return 0
    if not services.stop():
        sys.stderr.write("They are in use by a running `serve`: stop that first.\n")
        return 1
    if action == "erase":
        services.erase()
    return 0


if __name__ == "__main__":
    sys.exit(main())
