"""The receiver of a profile in a language: verification and a small server, ready to run."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from types import MappingProxyType

from dispatcher.profiles.model import Profile
from dispatcher.receivers.dialect import Language, used
from dispatcher.receivers.facts import flags, sentences
from dispatcher.receivers.languages.go import GO
from dispatcher.receivers.languages.java import JAVA
from dispatcher.receivers.languages.node import NODE
from dispatcher.receivers.languages.php import PHP
from dispatcher.receivers.languages.python import PYTHON
from dispatcher.receivers.languages.ruby import RUBY
from dispatcher.receivers.layout import fill
from dispatcher.receivers.recipe import Recipe, recipe

LANGUAGES: Mapping[str, Language] = MappingProxyType(
    {language.name: language for language in (PYTHON, NODE, PHP, JAVA, GO, RUBY)}
)

DEFAULT_PATH = "/webhooks"


@dataclass(frozen=True, slots=True)
class Snippet:
    """A whole program as one file. It holds no secret: it reads WEBHOOK_SECRET from its environment. `notes` are
    sentences for who is going to run it."""

    filename: str
    code: str
    notes: tuple[str, ...]
    language: str


def snippet(profile: Profile, language: str, *, url_path: str = DEFAULT_PATH) -> Snippet:
    """The receiver at this path. Raises KeyError for a language that is not in LANGUAGES, and Unverifiable, with a
    sentence for people, for a profile whose signatures nobody could verify."""
    dialect = LANGUAGES[language]
    made = recipe(profile, path=url_path)
    facts = flags(made) | sentences(made) | dict(dialect.facts(made)) | dict.fromkeys(dialect.imports, "")
    template = _template(language)
    program = fill(template, facts)
    imports = {name: used(statements, program) for name, statements in dialect.imports.items()}
    return Snippet(dialect.filename(made), fill(template, facts | imports), tuple(_notes(made, dialect)), language)


@lru_cache(maxsize=16)
def _template(language: str) -> str:
    return files("dispatcher.receivers.languages").joinpath(f"{language}.txt").read_text("utf-8")


def _notes(made: Recipe, dialect: Language) -> Iterator[str]:
    yield from dialect.notes(made)
    others = [item.name for item in made.profile.signatures if item is not made.signature]
    if others:
        yield f"Also sent, and not needed beside it: {', '.join(others)}."
    if made.scheme == "basic":
        yield "Nothing is signed in this format, so TLS and the password are all that protects it."
    elif not made.is_timed:
        yield "No time is signed in this format: a recorded request can be sent again, so remember what has come."
