"""`python -m dispatcher.receivers write docs/receivers`: makes the pages of the built-in profiles anew."""

import sys
from pathlib import Path

from dispatcher.receivers.pages import write

USAGE = "usage: python -m dispatcher.receivers write FOLDER\n"


def main(arguments: list[str]) -> int:
    match arguments:
        case ["write", folder] if Path(folder).is_dir():
            for file in write(Path(folder)):
                sys.stdout.write(f"{file}\n")
            return 0
    sys.stderr.write(USAGE)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
