"""The receivers as documentation: a page for each built-in profile, and the table that leads to them."""

from collections.abc import Iterator
from pathlib import Path

from dispatcher.profiles.catalogue import PROFILES
from dispatcher.profiles.model import Profile
from dispatcher.receivers.facts import about_id, environment, message_shape, shape, title
from dispatcher.receivers.recipe import Recipe, recipe
from dispatcher.receivers.snippets import DEFAULT_PATH, LANGUAGES, snippet

INDEX = "README.md"
BEGIN, END = "<!-- profiles:begin -->", "<!-- profiles:end -->"
# Between these the index has the table; around them it is written by hand.


def pages() -> dict[str, str]:
    """The text of each page by its file's name."""
    return {f"{name}.md": page(profile) for name, profile in PROFILES.items()}


def write(folder: Path) -> list[Path]:
    """Write all pages and bring the index's table up to date; returns the files that are new or other than before."""
    index = folder / INDEX
    texts = {folder / name: text for name, text in pages().items()}
    texts[index] = with_table(index.read_text("utf-8"))
    changed = [file for file, text in texts.items() if not file.exists() or file.read_text("utf-8") != text]
    for file in changed:
        file.write_text(texts[file], "utf-8")
    return changed


def with_table(index: str) -> str:
    """The index with its table made anew. Raises ValueError where there is no place for it."""
    before, begin, rest = index.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"The index has no {BEGIN} and {END}.")
    return f"{before}{BEGIN}\n\n{_table()}\n\n{END}{after}"


def page(profile: Profile) -> str:
    made = recipe(profile, path=DEFAULT_PATH)
    return "\n".join([*_head(made), *[line for language in LANGUAGES for line in _section(profile, language)]])


def _head(made: Recipe) -> Iterator[str]:
    yield from (f"# Receive `{made.profile.name}`", "")
    yield from (f"{made.profile.source}.", "")
    yield from ("| | |", "|---|---|")
    yield from (f"| {name} | {text} |" for name, text in _rows(made))
    yield from ("", "The programs read their keys from the environment:", "")
    yield from ("| variable | what it is |", "|---|---|")
    yield from (f"| `{name}` | {text} |" for name, text in environment(made))
    yield ""


def _rows(made: Recipe) -> Iterator[tuple[str, str]]:
    yield "verified by", _place(made)
    if made.signature is not None:
        yield "signed", f"{title(made)} of {_code(message_shape(made))}"
    if made.previous:
        yield "while keys rotate", f"{_code(made.previous)} has the signature of the one before"
    if made.is_timed:
        yield "replays", "refused when the signed time is more than 300 s from now"
    yield "answer", _answer(made)
    yield "twice", about_id(made)


def _place(made: Recipe) -> str:
    if made.signature is None:
        return "user name and password (HTTP Basic); nothing is signed"
    kind = "the form's field" if made.signature.place == "field" else "the header"
    form = shape(made)
    return f"{kind} {_code(made.signature.name)}" + ("" if form == "<signature>" else f": {_code(form)}")


def _answer(made: Recipe) -> str:
    answer = made.answer
    return f"{answer.status} with {_code(answer.body)}; anything else is sent again" if answer.body else "any 2xx"


def _code(text: str) -> str:
    """In a table's cell."""
    return f"`{text}`".replace("|", "\\|")


def _section(profile: Profile, language: str) -> Iterator[str]:
    made, dialect = snippet(profile, language), LANGUAGES[language]
    yield from (f"## {dialect.title}", "", f"`{made.filename}`. {' '.join(made.notes)}", "")
    yield f"```{dialect.syntax}\n{made.code}```\n"


def _table() -> str:
    rows = ["| profile | verified by | algorithm | time signed | answer |", "|---|---|---|---|---|"]
    for name, profile in PROFILES.items():
        made = recipe(profile, path=DEFAULT_PATH)
        cells = (_place(made), title(made) or "none", "yes" if made.is_timed else "no", _answer(made).partition(";")[0])
        rows.append(f"| [`{name}`]({name}.md) | {' | '.join(cells)} |")
    return "\n".join(rows)
