"""GitHub's rule, and GitHub's own library in Node."""

import base64
import fcntl
import hashlib
import hmac
import json
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from tests.verifiers.delivered import Delivered, require, require_same

NODE = Path(__file__).with_name("node")
INSTALL = ("npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock")
INSTALL_S = 120
# One package without dependencies, from a registry that may be slow.
VERIFY_S = 30


def verify(request: Delivered) -> None:
    expected = hmac.new(request.secret.encode(), request.body, hashlib.sha256).hexdigest()
    require_same(f"sha256={expected}", request.header("X-Hub-Signature-256"))
    for name in ("X-GitHub-Event", "X-GitHub-Delivery"):
        request.header(name)


def verify_by_octokit(request: Delivered) -> None:
    """Skips the test where Node or the package is not to be had."""
    if trouble := _trouble():
        pytest.skip(trouble)
    given = {
        "secret": request.secret,
        "body": base64.b64encode(request.body).decode(),
        "signature": request.header("X-Hub-Signature-256"),
    }
    done = subprocess.run(
        ["node", "verify.mjs"],
        cwd=NODE,
        input=json.dumps(given).encode(),
        capture_output=True,
        check=True,
        timeout=VERIFY_S,
    )
    require(done.stdout == b"true", "the signature is another one")


@cache
def _trouble() -> str:
    """Why the package cannot be used; empty once it is there in the version that package.json asks for."""
    missing = [program for program in ("node", "npm") if shutil.which(program) is None]
    if missing:
        return f"@octokit/webhooks-methods needs {' and '.join(missing)}, which this machine does not have"
    with (NODE / "package.json").open() as package:
        # Two test runs in one checkout take turns.
        fcntl.flock(package, fcntl.LOCK_EX)
        wanted = json.load(package)["dependencies"]
        return "" if {name: _installed(name) for name in wanted} == wanted else _install()


def _installed(name: str) -> str | None:
    manifest = NODE / "node_modules" / name / "package.json"
    return json.loads(manifest.read_text())["version"] if manifest.exists() else None


def _install() -> str:
    try:
        subprocess.run(INSTALL, cwd=NODE, capture_output=True, check=True, timeout=INSTALL_S)
    except subprocess.SubprocessError as error:
        return f"npm could not install @octokit/webhooks-methods: {type(error).__name__}"
    return ""
