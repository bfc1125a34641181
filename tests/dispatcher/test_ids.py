"""Ids: what they look like, that they read back, and that they sort by time."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.ids import ALPHABET, InvalidId, Prefix, new_id, parse, show

# Pairs of the TypeID specification's own test vectors.
VECTORS = [
    ("00000000000000000000000000", UUID(int=0)),
    ("0000000000000000000000000a", UUID(int=10)),
    ("0000000000000000000000000g", UUID(int=16)),
    ("00000000000000000000000010", UUID(int=32)),
    ("7zzzzzzzzzzzzzzzzzzzzzzzzz", UUID(int=2**128 - 1)),
    ("0123456789abcdefghjkmnpqrs", UUID("0110c853-1d09-52d8-d73e-1194e95b5f19")),
    ("01h455vb4pex5vsknk084sn02q", UUID("01890a5d-ac96-774b-bcce-b302099a8057")),
]


@pytest.mark.parametrize(("text", "value"), VECTORS)
def test_the_text_form_is_that_of_the_specification(text: str, value: UUID) -> None:
    assert show(Prefix.EVENT, value) == f"evt_{text}"
    assert parse(Prefix.EVENT, f"evt_{text}") == value


@given(st.uuids(), st.sampled_from(Prefix))
def test_what_is_shown_reads_back(value: UUID, prefix: Prefix) -> None:
    assert parse(prefix, show(prefix, value)) == value


@given(st.uuids(), st.uuids())
def test_texts_sort_as_their_uuids_do(one: UUID, other: UUID) -> None:
    assert (show(Prefix.EVENT, one) < show(Prefix.EVENT, other)) == (one < other)


def test_later_ids_sort_later() -> None:
    made = [new_id() for _ in range(1000)]
    assert made == sorted(set(made))
    assert {value.version for value in made} == {7}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "evt_",
        "evt",
        "01h455vb4pex5vsknk084sn02q",
        "_01h455vb4pex5vsknk084sn02q",
        "del_01h455vb4pex5vsknk084sn02q",
        "evt_01h455vb4pex5vsknk084sn02",
        "evt_01h455vb4pex5vsknk084sn02qq",
        "evt_01H455VB4PEX5VSKNK084SN02Q",
        "evt_81h455vb4pex5vsknk084sn02q",
        "evt_01h455vb4pex5vsknk084sn02u",
        "evt_01h455vb4pex5vsknk084sn0é",
        "evt_01h455vb4pex5vsknk084sn02\n",
        " evt_01h455vb4pex5vsknk084sn02q",
        "evt_evt_01h455vb4pex5vsknk084sn02q",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidId, match="not an id that starts with evt_"):
        parse(Prefix.EVENT, text)


@given(st.text(ALPHABET + "_evtABC\x00é", max_size=40))
def test_no_text_breaks_the_parser(text: str) -> None:
    try:
        value = parse(Prefix.EVENT, text)
    except InvalidId:
        return
    assert show(Prefix.EVENT, value) == text


def test_every_prefix_is_its_own() -> None:
    assert len({prefix.value for prefix in Prefix}) == len(Prefix)
    assert all(prefix.value.isalpha() and prefix.value.islower() for prefix in Prefix)
