"""Signing secrets: the form that each profile generates, and which texts a merchant may bring."""

import base64
import secrets

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dispatcher.profiles.catalogue import PROFILES
from dispatcher.profiles.model import ProfileError
from dispatcher.profiles.secrets import InvalidSecret, check_secret, generate
from tests.dispatcher.profile_samples import BASE64, TEXT, WHSEC

OWN = [name for name, profile in PROFILES.items() if profile.key_form != "none"]


@pytest.mark.parametrize("name", OWN)
def test_a_generated_secret_is_valid_and_new_each_time(name: str) -> None:
    made = {generate(PROFILES[name]) for _ in range(20)}
    assert len(made) == 20
    for text in made:
        check_secret(PROFILES[name], text)


@pytest.mark.parametrize("name", ["default", "standard", "stripe", "github", "paisr"])
def test_the_usual_secret_is_whsec_and_32_random_bytes(name: str) -> None:
    prefix, _, text = generate(PROFILES[name]).partition("_")
    assert prefix == "whsec"
    assert len(base64.b64decode(text, validate=True)) == 32


def test_adyen_s_is_hexadecimal() -> None:
    assert len(bytes.fromhex(generate(PROFILES["adyen-platform"]))) == 32


def test_ed25519_s_is_seed_and_public_key() -> None:
    prefix, _, text = generate(PROFILES["standard-ed25519"]).partition("_")
    key = base64.b64decode(text, validate=True)
    assert (prefix, len(key)) == ("whsk", 64)
    assert Ed25519PrivateKey.from_private_bytes(key[:32]).public_key().public_bytes_raw() == key[32:]


@pytest.mark.parametrize("edge", [b"\x00", b"\x09", b"\x0a", b"\x0b", b"\x0d", b"\x20"])
def test_paysafe_s_key_survives_plugins_that_trim_it(edge: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    good = b"k" * 32
    drawn = iter([edge + b"k" * 31, b"k" * 31 + edge, good])
    monkeypatch.setattr(secrets, "token_bytes", lambda _: next(drawn))
    assert base64.b64decode(generate(PROFILES["paysafe"])) == good


def test_what_the_provider_signs_has_no_secret_to_generate() -> None:
    with pytest.raises(ProfileError, match="not signed with a secret"):
        generate(PROFILES["paysera"])


@pytest.mark.parametrize("text", [TEXT, WHSEC, BASE64, "x", "x" * 512, "пароль", "with space", "whsec", "WHSEC_?"])
def test_any_printable_text_will_do_by_default(text: str) -> None:
    check_secret(PROFILES["default"], text)


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("default", "", "1 to 512 characters"),
        ("default", "x" * 513, "1 to 512 characters"),
        ("default", "line\nbreak", "printable"),
        ("default", "nul\0", "printable"),
        ("default", "\ud800", "printable"),
        ("default", "whsec_", "not valid base64 after whsec_"),
        ("default", "whsec_not base64", "not valid base64 after whsec_"),
        ("default", "whsec_QUJDRA", "not valid base64 after whsec_"),
        ("standard", TEXT, "does not start with whsec_"),
        ("cloudevents", TEXT, "does not start with whsec_"),
        ("standard", "whsec_ключ", "not valid base64"),
        ("standard-ed25519", WHSEC, "does not start with whsk_"),
        ("standard-ed25519", "whsk_QUJDRA==", "32 bytes, or 64"),
        ("paysafe", "not base64", "not valid base64"),
        ("paysafe", "ключ", "not valid base64"),
        ("adyen-platform", "zz", "not hexadecimal"),
        ("adyen-platform", "abc", "not hexadecimal"),
        ("adyen-platform", "ключ", "not hexadecimal"),
        ("adyen-platform", " ", "not hexadecimal"),
    ],
)
def test_other_texts_are_refused_with_a_sentence_that_does_not_show_them(name: str, text: str, sentence: str) -> None:
    with pytest.raises(InvalidSecret, match=sentence) as caught:
        check_secret(PROFILES[name], text)
    assert text in {"", " ", "whsec_"} or text not in str(caught.value)


@pytest.mark.parametrize("name", ["stripe", "github", "square", "paisr"])
def test_a_profile_that_uses_the_text_takes_any_even_one_like_whsec(name: str) -> None:
    check_secret(PROFILES[name], "whsec_test")
