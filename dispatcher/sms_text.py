"""How a text travels as SMS: its alphabet, how many segments it takes, and how it is cut to fit.

Sources: 3GPP TS 23.038, 6.2.1 (the GSM 7 bit default alphabet and its extension table) and 6.2.3 (UCS2); 3GPP TS
23.040, 9.2.3.24.1 (concatenated messages: a header of 6 octets leaves 153 septets or 67 UCS2 units to each segment).
"""

from dataclasses import dataclass
from enum import StrEnum

BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ"
    " !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = frozenset("^{}\\[~]|€")
# An escape and a character: two septets. The table's form feed (page break) is left out: nobody means one.


class Encoding(StrEnum):
    """As the log shows it."""

    GSM_7 = "GSM-7"
    UCS_2 = "UCS-2"


@dataclass(frozen=True, slots=True)
class Capacity:
    """Units of 7 or 16 bits: in a text of one segment, and in each of several."""

    single: int
    each: int


CAPACITY = {Encoding.GSM_7: Capacity(160, 153), Encoding.UCS_2: Capacity(70, 67)}
ELLIPSIS = {Encoding.GSM_7: "...", Encoding.UCS_2: "…"}
WORD_SHARE = 0.6
# A text is cut at a word's end where that leaves at least so much of what would fit.


def encoding_of(text: str) -> Encoding:
    """UCS-2 as soon as one character is not in the GSM tables."""
    is_gsm = all(character in BASIC or character in EXTENSION for character in text)
    return Encoding.GSM_7 if is_gsm else Encoding.UCS_2


def segments(text: str) -> int:
    """How many segments the text takes in its own encoding; an empty one takes one."""
    return segments_in(text, encoding_of(text))


def segments_in(text: str, encoding: Encoding) -> int:
    """An escape and its character, or two surrogates, never stand in different segments."""
    widths = [_width(character, encoding) for character in text]
    capacity = CAPACITY[encoding]
    if sum(widths) <= capacity.single:
        return 1
    count, used = 1, 0
    for width in widths:
        if used + width > capacity.each:
            count, used = count + 1, 0
        used += width
    return count


def fit(text: str, *, most_segments: int, tail: str = "") -> str:
    """`text` and then `tail`, in at most `most_segments`; what is too much is cut off `text` and never off `tail`.

    A tail that is too long by itself is returned alone. Whichever encoding keeps more of the text is chosen: cut
    before its first foreign character, a text may have room for twice as many.
    """
    whole = _join(text, tail)
    if segments(whole) <= most_segments:
        return whole
    cuts = [_cut(text, tail, most_segments, encoding) for encoding in Encoding]
    return _join(max(cuts, key=len), tail)


def _cut(text: str, tail: str, most_segments: int, encoding: Encoding) -> str:
    """The longest start of `text` that fits with an ellipsis and the tail; empty where none does."""
    ellipsis = ELLIPSIS[encoding]
    if encoding is Encoding.GSM_7:
        if encoding_of(tail) is not encoding:
            return ""
        text = _gsm_start(text)
    # More characters than this do not fit in any case.
    fits, too_many = 0, min(len(text), most_segments * CAPACITY[encoding].single) + 1
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        if segments_in(_join(text[:middle].rstrip() + ellipsis, tail), encoding) <= most_segments:
            fits = middle
        else:
            too_many = middle
    return _at_word(text, fits) + ellipsis if fits else ""


def _gsm_start(text: str) -> str:
    for position, character in enumerate(text):
        if character not in BASIC and character not in EXTENSION:
            return text[:position]
    return text


def _at_word(text: str, length: int) -> str:
    start = text[:length]
    if length == len(text) or text[length].isspace():
        return start.rstrip()
    last_space = max(start.rfind(" "), start.rfind("\n"))
    return (start[:last_space] if last_space >= length * WORD_SHARE else start).rstrip()


def _join(text: str, tail: str) -> str:
    return f"{text} {tail}" if text and tail else text or tail


def _width(character: str, encoding: Encoding) -> int:
    """In units: an escaped character takes two septets, one beyond the basic plane two surrogates."""
    if encoding is Encoding.GSM_7:
        return 2 if character in EXTENSION else 1
    return 2 if ord(character) > 0xFFFF else 1
