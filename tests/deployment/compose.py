"""Reads compose.yaml as Docker Compose does: anchors merged, variables of .env put in."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
COMPOSE_FILE = ROOT / "compose.yaml"
DOCKERFILE = ROOT / "Dockerfile"

_INNERMOST = re.compile(r"\$\{(?P<name>\w+)(?:(?P<operator>:-)(?P<otherwise>[^{}]*))?\}")
# `${NAME}` and `${NAME:-otherwise}`; what stands inside another is put in first.
_DURATION = re.compile(r"(?P<number>\d+)s")


@dataclass(frozen=True, slots=True)
class Service:
    """One service, its variables put in."""

    name: str
    given: Mapping[str, Any] = field(repr=False)

    @property
    def command(self) -> tuple[str, ...]:
        return tuple(self.given.get("command", ()))

    @property
    def environment(self) -> dict[str, str]:
        return dict(self.given.get("environment", {}))

    @property
    def health_command(self) -> tuple[str, ...]:
        """Without the word CMD; empty where there is no check."""
        test = tuple(self.given.get("healthcheck", {}).get("test", ()))
        assert test[:1] in ((), ("CMD",)), f"{self.name}: not in exec form"
        return test[1:]

    @property
    def stop_signal(self) -> str:
        return str(self.given.get("stop_signal", "SIGTERM"))

    @property
    def stop_grace_s(self) -> float:
        match = _DURATION.fullmatch(self.given.get("stop_grace_period", "10s"))
        assert match is not None, f"{self.name}: write the duration in seconds"
        return float(match["number"])

    @property
    def replicas(self) -> int:
        return int(self.given.get("deploy", {}).get("replicas", 1))

    @property
    def profiles(self) -> tuple[str, ...]:
        return tuple(self.given.get("profiles", ()))

    @property
    def needs(self) -> Mapping[str, Mapping[str, Any]]:
        return dict(self.given.get("depends_on", {}))

    @property
    def is_ours(self) -> bool:
        """Whether it runs the image of this project."""
        return str(self.given["image"]).split("/")[-1].split(":")[0] == "signet"


def services(variables: Mapping[str, str]) -> dict[str, Service]:
    document = put_in(yaml.safe_load(COMPOSE_FILE.read_text()), variables)
    return {name: Service(name, given) for name, given in document["services"].items()}


def put_in(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: put_in(part, variables) for name, part in value.items()}
    if isinstance(value, list):
        return [put_in(part, variables) for part in value]
    return _text(value, variables) if isinstance(value, str) else value


def _text(text: str, variables: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        found = variables.get(match["name"], "")
        assert found or match["operator"], f"{match['name']} has no value and no other to take its place"
        return found or match["otherwise"]

    while (after := _INNERMOST.sub(value, text)) != text:
        text = after
    return text


def read_env(path: Path) -> dict[str, str]:
    """A .env file of plain NAME=value lines."""
    lines = (line.strip() for line in path.read_text().splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, continued lines joined."""
    text = re.sub(r"\\\n", "", DOCKERFILE.read_text())
    lines = (line for line in text.splitlines() if line.strip() and not line.startswith("#"))
    return [(word.upper(), rest.strip()) for word, _, rest in (line.partition(" ") for line in lines)]


def image_environment() -> dict[str, str]:
    """What the last stage's ENV sets."""
    found: dict[str, str] = {}
    for word, rest in instructions():
        if word == "FROM":
            found = {}
        elif word == "ENV":
            found |= dict(part.split("=", 1) for part in rest.split())
    return found
