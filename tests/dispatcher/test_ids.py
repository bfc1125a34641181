"""Ids: what they look like, that they read back, and that they sort by time."""

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.ids import (
    ALPHABET,
    EPOCH,
    MILLISECOND,
    InvalidId,
    Prefix,
    first_id,
    new_id,
    parse,
    range_of,
    show,
    time_of,
)

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


# The example of RFC 9562, appendix A.6.
MADE = UUID("017f22e2-79b0-7cc3-98c4-dc0c0c07398f")
MADE_AT = datetime(2022, 2, 22, 14, 22, 22, tzinfo=timezone(timedelta(hours=-5)))
LAST = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)


class TestTime:
    def test_is_read_as_the_rfc_writes_it(self) -> None:
        assert time_of(MADE) == MADE_AT
        assert first_id(MADE_AT) == UUID("017f22e2-79b0-0000-0000-000000000000")

    def test_of_a_fresh_id_is_now(self) -> None:
        before = datetime.now(UTC)
        made = new_id()
        assert first_id(before) < made < first_id(datetime.now(UTC), slack=MILLISECOND)

    @given(st.timedeltas(MILLISECOND, LAST - EPOCH))
    def test_a_bound_stands_between_two_milliseconds(self, age: timedelta) -> None:
        moment = EPOCH + age
        bound = first_id(moment)
        assert timedelta() <= moment - time_of(bound) < MILLISECOND
        assert time_of(UUID(int=bound.int - 1)) == time_of(bound) - MILLISECOND

    @pytest.mark.parametrize("slack", [timedelta(), timedelta(days=1), timedelta(days=-1)])
    def test_the_ends_of_the_calendar_are_no_trouble(self, slack: timedelta) -> None:
        assert first_id(datetime(1, 1, 1, tzinfo=UTC), slack=slack) == UUID(int=0)
        assert first_id(LAST, slack=slack).int >> 80 == 253_402_300_799_999 + slack // MILLISECOND

    def test_slack_moves_the_moment(self) -> None:
        assert first_id(MADE_AT, slack=timedelta(minutes=1)) == first_id(MADE_AT + timedelta(minutes=1))
        assert first_id(MADE_AT, slack=timedelta(minutes=-1)) == first_id(MADE_AT - timedelta(minutes=1))


class TestRangeOf:
    @given(st.uuids(), st.integers(min_value=8, max_value=26))
    def test_a_beginning_stands_for_every_id_that_begins_so(self, value: UUID, length: int) -> None:
        text = show(Prefix.EVENT, value)[: len("evt_") + length]
        first, last = range_of(Prefix.EVENT, text)
        assert first <= value <= last
        for end, outside in ((first, first.int - 1), (last, last.int + 1)):
            assert show(Prefix.EVENT, end).startswith(text)
            if 0 <= outside < 2**128:
                assert not show(Prefix.EVENT, UUID(int=outside)).startswith(text)

    def test_a_whole_id_stands_for_itself(self) -> None:
        value = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
        assert range_of(Prefix.EVENT, "evt_01h455vb4pex5vsknk084sn02q") == (value, value)

    def test_the_shortest_stands_for_a_second_or_so(self) -> None:
        first, last = range_of(Prefix.EVENT, "evt_01h455vb")
        assert time_of(last) - time_of(first) == timedelta(milliseconds=1023)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "evt_",
            "evt_01h455v",
            "del_01h455vb4",
            "01h455vb4",
            "evt_01h455vu4",
            "evt_01H455VB4",
            "evt_81h455vb4",
            "evt_01h455vb4pex5vsknk084sn02qq",
            "evt__01h455vb4",
            "evt_01h455vb\u0660",
        ],
    )
    def test_what_is_no_beginning_is_refused(self, text: str) -> None:
        with pytest.raises(InvalidId):
            range_of(Prefix.EVENT, text)
