"""How texts are counted and cut for SMS: tables from 3GPP TS 23.038 and 23.040, and what holds for any text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.sms_text import BASIC, EXTENSION, Encoding, encoding_of, fit, segments

LINK = "Stop: https://w.example/u/0123456789ABCDEFGHIJKLMNOPQRS"
GSM = sorted(BASIC | EXTENSION)
TEXTS = st.one_of(
    st.text(st.sampled_from(GSM), max_size=700),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=400),
    st.text(st.sampled_from("ab €{ж😀 \n"), max_size=700),
)


def test_the_alphabet_has_127_characters_and_an_escape() -> None:
    assert (len(BASIC), len(EXTENSION)) == (127, 9)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("", Encoding.GSM_7),
        ("Hello @£$¥èéùìòÇ ΔΦΓΛΩΠΨΣΘΞ", Encoding.GSM_7),
        ("10 € [ok]", Encoding.GSM_7),
        ("Ąžuolas", Encoding.UCS_2),
        ("don\u2019t", Encoding.UCS_2),
        ("ç", Encoding.UCS_2),  # only the capital is in the table
        ("a\tb", Encoding.UCS_2),
        ("😀", Encoding.UCS_2),
    ],
)
def test_encoding(text: str, encoding: Encoding) -> None:
    assert encoding_of(text) is encoding


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("€" * 80, 1),
        ("€" * 81, 2),
        # 153 is odd: the 77th escape pair of a segment would be split, so each holds 76.
        ("€" * 152, 2),
        ("€" * 153, 3),
        ("a" * 152 + "€" + "a" * 151, 2),
        ("a" * 152 + "€" + "a" * 152, 3),
        ("ж" * 70, 1),
        ("ж" * 71, 2),
        ("ж" * 134, 2),
        ("ж" * 135, 3),
        ("😀" * 35, 1),
        ("😀" * 36, 2),
        # 67 is odd as well: 33 pairs to a segment.
        ("😀" * 66, 2),
        ("😀" * 67, 3),
    ],
)
def test_segments(text: str, count: int) -> None:
    assert segments(text) == count


@pytest.mark.parametrize(
    ("text", "tail", "most", "fitted"),
    [
        ("short", "", 1, "short"),
        ("short", LINK, 1, f"short {LINK}"),
        ("a" * 161, "", 1, "a" * 157 + "..."),
        ("word " * 40, "", 1, ("word " * 31).strip() + "..."),
        ("ж" * 71, "", 1, "ж" * 69 + "…"),
        # Before its first foreign character a text has room for twice as many.
        ("a" * 150 + "ж" * 40, "", 1, "a" * 150 + "..."),
        ("ж" + "a" * 100, "", 1, "ж" + "a" * 68 + "…"),
        # A tail is never cut, also where nothing else fits.
        ("text", "x" * 200, 1, "x" * 200),
        ("", LINK, 1, LINK),
    ],
)
def test_fit(text: str, tail: str, most: int, fitted: str) -> None:
    assert fit(text, most_segments=most, tail=tail) == fitted


@given(TEXTS, st.integers(1, 4), st.sampled_from(["", LINK]))
def test_what_was_fitted_fits_and_keeps_its_tail(text: str, most: int, tail: str) -> None:
    fitted = fit(text, most_segments=most, tail=tail)
    assert segments(fitted) <= most
    assert fitted.endswith(tail)


@given(TEXTS, st.integers(1, 4))
def test_what_fits_is_left_alone(text: str, most: int) -> None:
    if segments(text) <= most:
        assert fit(text, most_segments=most) == text


@given(TEXTS, st.integers(1, 3))
def test_only_the_end_is_cut(text: str, most: int) -> None:
    fitted = fit(text, most_segments=most)
    if fitted != text:
        assert text.startswith(fitted.removesuffix("...").removesuffix("…"))


@given(TEXTS)
def test_pairs_are_never_split(text: str) -> None:
    """Packed by hand: every segment holds whole characters and no more units than it may."""
    encoding = encoding_of(text)
    single, each = (160, 153) if encoding is Encoding.GSM_7 else (70, 67)
    widths = [
        (2 if character in EXTENSION else 1) if encoding is Encoding.GSM_7 else len(character.encode("utf-16-be")) // 2
        for character in text
    ]
    if sum(widths) <= single:
        assert segments(text) == 1
        return
    packed = [0]
    for width in widths:
        if packed[-1] + width > each:
            packed.append(0)
        packed[-1] += width
    assert segments(text) == len(packed)
    assert max(packed) <= each
