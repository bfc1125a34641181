"""What the settings ask of the environment, as they themselves tell it."""

import base64
import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Mapping

from config.embedded.state import CHECKOUT
from config.environment import Read

_PROGRAM = """
import dataclasses, json
from config import settings
print(json.dumps({name: dataclasses.asdict(read) for name, read in settings.env.reads.items()}))
"""


def in_production() -> Mapping[str, Read]:
    keys = base64.b64encode(secrets.token_bytes(32)).decode()
    return _reads({"SECRET_KEY": secrets.token_urlsafe(64), "ENCRYPTION_KEYS": keys})


def in_development() -> Mapping[str, Read]:
    return _reads({"DEBUG": "true"})


def _reads(variables: Mapping[str, str]) -> Mapping[str, Read]:
    """In a process of its own, in which nothing else is set: this one may have settings already."""
    with tempfile.TemporaryDirectory() as empty:
        environment = {"PATH": os.environ.get("PATH", ""), "SIGNET_STATE_DIR": empty, **variables}
        told = subprocess.run(  # noqa: S603
            [sys.executable, "-c", _PROGRAM], cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=True
        )
    return {
        name: Read(**(read | {"choices": tuple(read["choices"])})) for name, read in json.loads(told.stdout).items()
    }
