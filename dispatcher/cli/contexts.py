"""The contexts that `signet login` stores: addresses and keys in one file that only its owner can read."""

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

OWNER_ONLY = 0o600
OWNER_ONLY_DIRECTORY = 0o700
DEFAULT_NAME = "default"


class UnreadableContexts(Exception):
    """The file is there, but not what this program writes."""


@dataclass(frozen=True, slots=True)
class Context:
    """One platform and one key.

    `kind` is `provider` or `merchant`, empty where it is not known; `merchant` is whom a provider acts for by default.
    """

    url: str
    key: str = field(repr=False)
    kind: str = ""
    merchant: str | None = None


@dataclass(frozen=True, slots=True)
class Contexts:
    """All of them by name, and which is meant when none is named."""

    current: str | None
    by_name: Mapping[str, Context]

    def with_one(self, name: str, context: Context) -> "Contexts":
        """With it, as the current one."""
        return Contexts(name, {**self.by_name, name: context})

    def without(self, name: str) -> "Contexts":
        left = {other: context for other, context in self.by_name.items() if other != name}
        return Contexts(next(iter(left), None) if self.current == name else self.current, left)

    def using(self, name: str) -> "Contexts":
        return replace(self, current=name)


def path_of(environment: Mapping[str, str]) -> Path:
    """Where the file is. Source: XDG Base Directory Specification 0.8, which ignores relative paths."""
    given = Path(environment.get("XDG_CONFIG_HOME", ""))
    home = given if given.is_absolute() else Path.home() / ".config"
    return home / "signet" / "contexts.json"


def load(path: Path) -> Contexts:
    """Raises UnreadableContexts."""
    try:
        stored = json.loads(path.read_bytes())
        return Contexts(stored["current"], {name: _read(one) for name, one in stored["contexts"].items()})
    except FileNotFoundError:
        return Contexts(None, {})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as trouble:
        raise UnreadableContexts(f"{path} cannot be read ({trouble}); log in again after removing it.") from trouble


def save(path: Path, contexts: Contexts) -> None:
    """1. Write a new file that was never readable to others. 2. Put it in the old one's place, at once."""
    path.parent.mkdir(mode=OWNER_ONLY_DIRECTORY, parents=True, exist_ok=True)
    stored = {"current": contexts.current, "contexts": {name: asdict(one) for name, one in contexts.by_name.items()}}
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    try:
        with os.fdopen(descriptor, "w") as file:
            json.dump(stored, file, indent=2)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def is_open_to_others(path: Path) -> bool:
    return bool(path.stat().st_mode & 0o077)


def _read(stored: Mapping[str, Any]) -> Context:
    merchant = stored.get("merchant")
    return Context(str(stored["url"]), str(stored["key"]), str(stored.get("kind", "")), merchant and str(merchant))
