"""What the languages have in common: how a recipe's names, texts and messages become a program's."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from dispatcher.receivers.layout import Facts
from dispatcher.receivers.recipe import Piece, Recipe

VARIABLES = {"id": "event_id", "type": "event_type", "form_sorted": "sorted_form", "url": "url"}
# Slots that have another name in programs: those of the language's own words, and those that say too little alone.

_TEXTS = re.compile(r'"""[\s\S]*?"""|"(?:[^"\\\n]|\\.)*"|`[^`]*`|(?://|#).*')
# In the order in which they begin: a comment's quotation mark opens nothing, nor does a text's comment sign.
_SPECIAL = re.compile(r"[.*+?^${}()|\[\]\\/]")


@dataclass(frozen=True, slots=True)
class Imports:
    """Names or statements, each behind the code that needs it (a regular expression), and what is written of them."""

    rows: tuple[tuple[str, str], ...]
    separator: str = "\n"
    around: str = "{}"


@dataclass(frozen=True, slots=True)
class Language:
    """`title` is its name for people, `syntax` its name in a fenced block. `facts` are those that its template has
    beyond the common ones; `notes` what a reader has to know to run it. `imports` are the template's blocks of them."""

    name: str
    title: str
    syntax: str
    filename: Callable[[Recipe], str]
    facts: Callable[[Recipe], Facts]
    notes: Callable[[Recipe], Iterator[str]]
    imports: Mapping[str, Imports]


def literals(recipe: Recipe, literal: Callable[[str], str]) -> dict[str, str]:
    """The texts of a recipe as the language writes them."""
    signature, answer = recipe.signature, recipe.answer
    texts = {
        "path": recipe.path,
        "header": signature.name if signature else "",
        "previous_header": recipe.previous,
        "join": (signature.join or "") if signature else "",
        "prefix": recipe.prefix,
        "suffix": recipe.suffix,
        "data_field": recipe.profile.body.field,
        "answer_body": answer.body,
        "answer_type": answer.content_type,
        "id_header": recipe.id_header,
    }
    return {name: literal(text) for name, text in texts.items()}


def quoted(text: str) -> str:
    """Between double quotes, with the escapes of JSON, which most languages share."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def runs(recipe: Recipe) -> Iterator[list[Piece]]:
    """The message as runs of text, and the body, which is bytes, alone."""
    run: list[Piece] = []
    for piece in recipe.message:
        if piece != Piece("slot", "body"):
            run.append(piece)
            continue
        if run:
            yield run
        yield [piece]
        run = []
    if run:
        yield run


def is_body(run: list[Piece]) -> bool:
    return run == [Piece("slot", "body")]


def snake(slot: str) -> str:
    return VARIABLES.get(slot, slot)


def camel(slot: str) -> str:
    first, *others = snake(slot).split("_")
    return first + "".join(word.capitalize() for word in others)


def pascal(name: str) -> str:
    """A profile's name as that of a class: `paysera-checkout` is `PayseraCheckout`."""
    return "".join(word[:1].upper() + word[1:] for word in re.split(r"[^A-Za-z0-9]+", name)) or "Webhook"


def value_names(recipe: Recipe) -> list[str]:
    """What the signature's own value says that the message needs, in the order of the value."""
    inside = dict.fromkeys(piece.text for piece in recipe.value if piece.kind == "slot" and piece.text != "items")
    return [name for name in inside if name in recipe.slots]


def pattern(recipe: Recipe, group: Callable[[str, str], str], *, escaped: Callable[[str], str] | None = None) -> str:
    """The regular expression of the signature's value. `group` writes a group of a name and a pattern."""
    named = value_names(recipe)
    text = ""
    for piece in recipe.value:
        if piece.kind == "text":
            text += (escaped or escape)(piece.text)
        elif piece.text == "items":
            text += group("signatures", ".+")
        elif piece.text in named:
            named.remove(piece.text)
            text += group(piece.text, "[0-9]+" if piece.text == "timestamp" else ".*?")
        else:
            text += ".*?"
    return text


def escape(text: str) -> str:
    """For a regular expression; `/` as well, which ends it in some languages."""
    return _SPECIAL.sub(lambda match: "\\" + match[0], text)


def used(imports: Imports, program: str) -> str:
    """What the program needs of them, empty for nothing; what comments and texts say is no code."""
    code = _TEXTS.sub('""', program)
    found = [statement for needs, statement in imports.rows if re.search(needs, code)]
    return imports.around.format(imports.separator.join(found)) if found else ""


def lines(rows: Iterator[str] | list[str]) -> str:
    return "\n".join(rows)
