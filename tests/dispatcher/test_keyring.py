"""The key ring: what opens a ciphertext, and what does not."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.keyring import DecryptionFailed, InvalidKey, Keyring


def key(fill: bytes) -> str:
    return base64.b64encode(fill * 32).decode()


OLD, NEW = key(b"o"), key(b"n")
PLAIN = b"whsec_do-not-show"


@given(st.binary(max_size=300), st.text(max_size=50).filter(str.isprintable))
def test_what_is_encrypted_reads_back(plain: bytes, bound_to: str) -> None:
    ring = Keyring([NEW])
    assert ring.decrypt(ring.encrypt(plain, bound_to=bound_to), bound_to=bound_to) == plain


def test_a_database_s_memoryview_reads_as_well() -> None:
    ring = Keyring([NEW])
    stored = memoryview(ring.encrypt(PLAIN, bound_to="row"))
    assert ring.decrypt(stored, bound_to="row") == PLAIN
    assert not ring.needs_rotation(stored)


def test_the_ciphertext_shows_nothing_and_is_never_the_same_twice() -> None:
    ring = Keyring([NEW])
    one, other = ring.encrypt(PLAIN, bound_to="row"), ring.encrypt(PLAIN, bound_to="row")
    assert one != other
    assert PLAIN not in one
    assert len(one) == 1 + 8 + 12 + len(PLAIN) + 16


def test_the_first_key_encrypts_and_all_decrypt() -> None:
    before = Keyring([OLD]).encrypt(PLAIN, bound_to="row")
    both = Keyring([NEW, OLD])
    assert both.decrypt(before, bound_to="row") == PLAIN
    assert both.needs_rotation(before)
    fresh = both.encrypt(PLAIN, bound_to="row")
    assert not both.needs_rotation(fresh)
    assert Keyring([NEW]).decrypt(fresh, bound_to="row") == PLAIN


def test_a_ciphertext_moved_to_another_row_is_refused() -> None:
    ring = Keyring([NEW])
    with pytest.raises(DecryptionFailed, match="bound to secret:2 was altered or belongs elsewhere"):
        ring.decrypt(ring.encrypt(PLAIN, bound_to="secret:1"), bound_to="secret:2")


def test_an_unknown_key_is_named_by_its_id() -> None:
    sealed = Keyring([OLD]).encrypt(PLAIN, bound_to="row")
    with pytest.raises(DecryptionFailed, match=f"has the id {sealed[1:9].hex()}"):
        Keyring([NEW]).decrypt(sealed, bound_to="row")


@given(st.integers(0, 1 + 8 + 12 + len(PLAIN) + 16 - 1), st.integers(1, 255))
def test_every_altered_byte_is_noticed(position: int, change: int) -> None:
    ring = Keyring([NEW])
    sealed = bytearray(ring.encrypt(PLAIN, bound_to="row"))
    sealed[position] ^= change
    with pytest.raises(DecryptionFailed):
        ring.decrypt(bytes(sealed), bound_to="row")


@pytest.mark.parametrize("sealed", [b"", b"\x01", PLAIN, b"\x01" + b"x" * 35, b"\x02" + b"x" * 60])
def test_other_bytes_are_no_ciphertext(sealed: bytes) -> None:
    ring = Keyring([NEW])
    with pytest.raises(DecryptionFailed, match="not a ciphertext"):
        ring.decrypt(sealed, bound_to="row")
    with pytest.raises(DecryptionFailed, match="not a ciphertext"):
        ring.needs_rotation(sealed)


@pytest.mark.parametrize(
    "bad", ["", "short", base64.b64encode(b"x" * 31).decode(), base64.b64encode(b"x" * 33).decode(), "ü" * 44, NEW[:-1]]
)
def test_a_bad_key_is_refused_without_being_shown(bad: str) -> None:
    with pytest.raises(InvalidKey) as caught:
        Keyring([NEW, bad])
    assert str(caught.value) == "Key 2 of ENCRYPTION_KEYS is not base64 of 32 bytes."


def test_a_ring_has_at_least_one_key() -> None:
    with pytest.raises(InvalidKey, match="There is no encryption key"):
        Keyring([])


def test_neither_the_ring_nor_a_failure_shows_a_secret() -> None:
    ring = Keyring([NEW, OLD])
    assert repr(ring) == "Keyring(2 keys)"
    with pytest.raises(DecryptionFailed) as caught:
        ring.decrypt(ring.encrypt(PLAIN, bound_to="a"), bound_to="b")
    assert caught.value.__cause__ is None
    assert "whsec" not in str(caught.value)
