"""A text that fits a simple regular expression: literals, classes, groups, alternatives and counts."""

import string
from collections.abc import Callable

_DIGITS = string.digits
_WORD = string.ascii_letters + _DIGITS + "_"
_CLASSES = {"d": _DIGITS, "w": "a" + _WORD, "s": " "}
_OPPOSITES = {"D": "a", "W": "-", "S": "a"}
_CONTROLS = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v"}
_VISIBLE = string.ascii_letters + _DIGITS + string.punctuation + " "
_MOST_REPEATS = 10_000


class Unreadable(ValueError):
    """The expression holds something that this reader does not know. Others may fit it nevertheless."""


def fitting(pattern: str, *, extra: int = 0) -> str:
    """The shortest text that fits by taking first alternatives; every open count is larger by `extra`.

    Raises Unreadable. What it finds is a proposal: the validator says whether it fits.
    """
    reader = _Reader(pattern, extra)
    text = reader.alternatives()
    if reader.position < len(pattern):
        raise Unreadable
    return text


class _Reader:
    def __init__(self, pattern: str, extra: int) -> None:
        self._pattern = pattern
        self._extra = extra
        self.position = 0

    def alternatives(self) -> str:
        first = self._sequence()
        while self._take("|"):
            self._sequence()
        return first

    def _sequence(self) -> str:
        parts = []
        while self._next() not in ("", "|", ")"):
            made = self._atom()
            least, most = self._count()
            wanted = min(least + self._extra if most is None else least, _MOST_REPEATS)
            parts.append(made * wanted)
        return "".join(parts)

    def _atom(self) -> str:
        character = self._read()
        readers: dict[str, Callable[[], str]] = {"(": self._group, "[": self._class, "\\": self._escape}
        if character in readers:
            return readers[character]()
        if character in "^$":
            return ""
        if character in "*+?{":
            raise Unreadable
        return "a" if character == "." else character

    def _group(self) -> str:
        if self._take("?"):
            if self._take("<") or self._take("P<"):
                while self._read() != ">":
                    pass
            elif not self._take(":"):
                raise Unreadable
        made = self.alternatives()
        if not self._take(")"):
            raise Unreadable
        return made

    def _escape(self) -> str:
        return self._escaped()[:1]

    def _escaped(self) -> str:
        """All that an escape stands for; nothing for the edge of a word."""
        character = self._read()
        if character in _CLASSES or character in _OPPOSITES:
            return _CLASSES.get(character) or _OPPOSITES[character]
        if character in _CONTROLS:
            return _CONTROLS[character]
        if character == "b":
            return ""
        if character.isalnum():
            raise Unreadable
        return character

    def _class(self) -> str:
        is_negated = self._take("^")
        held = ""
        while not self._take("]"):
            character = self._read()
            found = self._escaped() if character == "\\" else character
            if len(found) == 1 and self._next() == "-" and self._pattern[self.position + 1 :][:1] not in ("]", ""):
                self._read()
                end = self._read()
                end = self._escape() if end == "\\" else end
                found = "".join(map(chr, range(ord(found), min(ord(end), ord(found) + 200) + 1)))
            held += found
        if is_negated:
            held = next((one for one in _VISIBLE if one not in held), "")
        if not held:
            raise Unreadable
        return held[0]

    def _count(self) -> tuple[int, int | None]:
        """Least and most; None where there is no most."""
        least, most = self._plain_count()
        self._take("?")  # a lazy count is the same count
        return least, most

    def _plain_count(self) -> tuple[int, int | None]:
        for sign, count in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._take(sign):
                return count
        if not self._take("{"):
            return 1, 1
        inside, closing, _ = self._pattern[self.position :].partition("}")
        least, comma, most = inside.partition(",")
        if not closing or not (least.isdecimal() and len(least) < 6) or len(most) > 5:
            raise Unreadable
        self.position += len(inside) + 1
        is_open = bool(comma) and (not most or int(most) > int(least))
        return int(least), None if is_open else int(least)

    def _next(self) -> str:
        return self._pattern[self.position : self.position + 1]

    def _read(self) -> str:
        character = self._next()
        if not character:
            raise Unreadable
        self.position += 1
        return character

    def _take(self, text: str) -> bool:
        if self._pattern.startswith(text, self.position):
            self.position += len(text)
            return True
        return False
