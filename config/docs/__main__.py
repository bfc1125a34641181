"""`python -m config.docs write docs`: makes the generated pages anew."""

import os
import sys
from pathlib import Path

USAGE = "usage: python -m config.docs write FOLDER\n"


def main(arguments: list[str]) -> int:
    match arguments:
        case ["write", folder] if Path(folder).is_dir():
            for file in _write(Path(folder)):
                sys.stdout.write(f"{file}\n")
            return 0
    sys.stderr.write(USAGE)
    return 2


def _write(folder: Path) -> list[Path]:
    """Sets Django up as a checkout without any settings has it, so that the defaults are everybody's."""
    from config.docs.settings_page import documented

    for name in documented():
        os.environ.pop(name, None)
    os.environ |= {"DEBUG": "true", "DJANGO_SETTINGS_MODULE": "config.settings"}
    import django

    django.setup()
    from config.docs.pages import write

    return write(folder)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
