"""The page that shows the document needs nothing from elsewhere, and nothing of it was changed by us."""

import re
from hashlib import sha256
from pathlib import Path

import pytest
from django.test import Client

ROOT = Path(__file__).resolve().parents[2]
VENDORED = ROOT / "config" / "static" / "config" / "swagger-ui"
OWN = {"README.md", "SHA256SUMS"}


def sums() -> dict[str, str]:
    lines = (VENDORED / "SHA256SUMS").read_text().splitlines()
    return {name: digest for digest, name in (line.split("  ") for line in lines)}


def test_the_vendored_files_are_as_they_came() -> None:
    assert {path.name for path in VENDORED.iterdir()} - OWN == set(sums())
    for name, digest in sums().items():
        assert sha256((VENDORED / name).read_bytes()).hexdigest() == digest, name


def test_their_licence_is_beside_them() -> None:
    assert "Apache License" in (VENDORED / "LICENSE").read_text()
    assert "Swagger UI 5.35.0" in (VENDORED / "README.md").read_text()


def test_the_page_names_only_files_of_this_host_and_has_nothing_inline() -> None:
    answer = Client().get("/api/docs/")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    page = answer.content.decode()
    named = re.findall(r'(?:src|href|data-document)="([^"]*)"', page)
    assert named == [
        "/static/config/swagger-ui/swagger-ui.css",
        "/static/config/docs.css",
        "/api/schema/",
        "/api/schema/",
        "/static/config/swagger-ui/swagger-ui-bundle.js",
        "/static/config/docs.js",
    ]
    assert not re.search(r"<style|style=|<script>|\son\w+=", page)


@pytest.mark.parametrize(
    "name", ["swagger-ui/swagger-ui.css", "swagger-ui/swagger-ui-bundle.js", "docs.css", "docs.js"]
)
def test_its_files_are_served(name: str) -> None:
    answer = Client().get(f"/static/config/{name}")
    assert answer.status_code == 200
    assert answer.getvalue() == (VENDORED.parent / name).read_bytes()
    answer.close()


def test_its_policy_allows_no_other_host_and_nothing_inline() -> None:
    policy = Client().get("/api/docs/").headers["Content-Security-Policy"]
    directives = dict(directive.split(" ", 1) for directive in policy.split("; "))
    assert directives == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "font-src": "'self'",
        "connect-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
