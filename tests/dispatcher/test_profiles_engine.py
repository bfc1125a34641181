"""The engine on profiles of one's own: templates, algorithms, key forms, and what it refuses."""

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from typing import Any, get_args

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.profiles.engine import ProviderKey, prepare
from dispatcher.profiles.headers import HeaderError
from dispatcher.profiles.model import (
    Algorithm,
    Body,
    Encoding,
    KeyDecoding,
    Profile,
    ProfileError,
    RenderError,
    Signature,
)
from dispatcher.profiles.signing import ENCODERS, decode_key, make_signer
from tests.dispatcher.profile_samples import BODY, KEY, MESSAGE, NOW, TARGET, headers, render, wire


def with_body(template: Any, *, kind: Any = "envelope") -> Profile:
    return Profile("own", "a test", body=Body(kind, json.dumps(template)))


def with_signature(**settings: Any) -> Profile:
    return Profile("own", "a test", signatures=(Signature(**{"name": "X-Sig", "key": "utf8", **settings}),))


def pem(key: Any) -> str:
    made: bytes = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.decode()


# --- Signing ---------------------------------------------------------------------------------------------------------


@given(st.sampled_from(["sha1", "sha256", "sha512"]), st.binary(max_size=300), st.lists(st.binary(max_size=300)))
def test_our_hmac_is_hmac(digest: Any, key: bytes, messages: list[bytes]) -> None:
    sign = make_signer(f"hmac-{digest}", key)  # type: ignore[arg-type]
    assert [sign(message) for message in messages] == [hmac.digest(key, message, digest) for message in messages]


def test_every_algorithm_encoding_and_key_form_has_an_implementation() -> None:
    assert set(ENCODERS) == set(get_args(Encoding))
    keys: dict[KeyDecoding, tuple[str, bytes]] = {
        "utf8": ("ключ", "ключ".encode()),
        "base64": (base64.b64encode(KEY).decode(), KEY),
        "hex": (KEY.hex(), KEY),
        "whsec": ("whsec_" + base64.b64encode(KEY).decode(), KEY),
        "whsec_or_utf8": ("whsec_?", b"whsec_?"),
        "whsk": ("whsk_" + base64.b64encode(KEY).decode(), KEY),
        "pem": ("-----BEGIN", b"-----BEGIN"),
    }
    assert set(keys) == set(get_args(KeyDecoding))
    assert {form: decode_key(form, text) for form, (text, _) in keys.items()} == {
        form: expected for form, (_, expected) in keys.items()
    }


@pytest.mark.parametrize(
    ("encoding", "expected"), [("hex", "fbff"), ("base64", "+/8="), ("base64url", "-_8="), ("text", None)]
)
def test_encodings(encoding: Encoding, expected: str | None) -> None:
    data = b"\xfb\xff" if expected else b"plain"
    assert ENCODERS[encoding](data) == (expected or "plain")


def test_md5_concat_appends_the_key() -> None:
    sent = headers(render(with_signature(algorithm="md5-concat"), "pw"))
    assert sent["X-Sig"] == hashlib.md5(BODY + b"pw").hexdigest()


def test_ed25519_takes_a_pem_key_of_the_provider() -> None:
    key = Ed25519PrivateKey.generate()
    profile = with_signature(key="pem", algorithm="ed25519", encoding="base64", signer="provider")
    sent = headers(render(profile, provider_keys=(ProviderKey("ed25519", pem(key)),)))
    key.public_key().verify(base64.b64decode(sent["X-Sig"]), BODY)


def test_jws_es256_is_a_detached_jws() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    profile = with_signature(key="pem", algorithm="jws-es256", encoding="text", signer="provider")
    head, payload, signature = headers(render(profile, provider_keys=(ProviderKey("ec", pem(key)),)))["X-Sig"].split(
        "."
    )
    assert base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)) == b'{"alg":"ES256"}'
    assert payload == ""
    both = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
    assert len(both) == 64
    der = encode_dss_signature(int.from_bytes(both[:32], "big"), int.from_bytes(both[32:], "big"))
    signed = head.encode() + b"." + base64.urlsafe_b64encode(BODY).rstrip(b"=")
    key.public_key().verify(der, signed, ec.ECDSA(hashes.SHA256()))


@pytest.mark.parametrize("algorithm", ["rsa-sha1", "rsa-sha256", "ed25519", "jws-es256"])
def test_a_key_of_another_kind_is_refused_without_being_shown(algorithm: Algorithm) -> None:
    wrong = pem(ec.generate_private_key(ec.SECP384R1()))
    for key in (wrong, "not a key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"):
        with pytest.raises(ProfileError) as caught:
            make_signer(algorithm, key.encode())
        assert key not in str(caught.value)


def test_a_message_may_combine_constants_and_values() -> None:
    profile = with_signature(message="{merchant}|{account}|{type}|{attempt}|{created}|{url}|{payload}|ü")
    signed = f"m-42|acc-7|invoice.paid|3|1699999200|{TARGET.url}|".encode() + BODY + "|ü".encode()
    assert headers(render(profile, "k"))["X-Sig"] == hmac.digest(b"k", signed, "sha256").hex()


@given(st.binary(max_size=60), st.text(max_size=20))
def test_nothing_that_was_filled_in_is_replaced_again(noise: bytes, account: str) -> None:
    payload = b"{body}{payload}{timestamp}{id}%s" + noise
    profile = with_signature(message="{id}.{timestamp}.{body}", value="t={timestamp},{items}", item="a={signature}")
    message = MESSAGE._replace(payload=payload, account=account)
    signed = hmac.digest(b"k", b"msg_1.1700000000." + payload, "sha256").hex()
    assert headers(render(profile, "k", message=message))["X-Sig"] == f"t=1700000000,a={signed}"


# --- Headers and bodies ----------------------------------------------------------------------------------------------


def test_headers_are_templates_and_win_over_the_engine_s_own() -> None:
    profile = Profile(
        "own",
        "a test",
        headers=(
            ("user-agent", "Own/1"),
            ("X-At", "{occurred_at}/{created}/{mode}"),
            ("X-Who", "{merchant}:{account}"),
            ("X-Percent", "100%"),
            ("X-Brace", "{}{ {Unknown}"),
        ),
    )
    assert headers(render(profile)) == {
        "Content-Type": "application/json",
        "user-agent": "Own/1",
        "X-At": "2023-11-14T22:00:00.123000Z/1699999200/live",
        "X-Who": "m-42:acc-7",
        "X-Percent": "100%",
        "X-Brace": "{}{ {Unknown}",
    }
    assert headers(render(profile, message=MESSAGE._replace(account=None)))["X-Who"] == "m-42:"


@given(st.text(max_size=30))
def test_no_value_of_an_event_breaks_a_header(text: str) -> None:
    profile = Profile(
        "own", "a test", headers=tuple((f"X-{name}", f"{{{name}}}") for name in ("id", "type", "account"))
    )
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    message = MESSAGE._replace(event_id=text, event_type=text, account=text)
    for value in headers(render(profile, message=message)).values():
        assert value.isascii()
        assert value.isprintable()
        assert value == value.strip()


def test_a_template_becomes_compact_json_with_values_in_their_own_types() -> None:
    profile = with_body(
        {
            "n": 1,
            "none": None,
            "nested": {"list": ["{type}", "{payload.gone?}", 2.5, True], "text": "at {timestamp}: {id}"},
            "attempt": "{attempt}",
            "attempt_text": "{attempt_text}",
            "timestamp": "{timestamp}",
            "account": "{account}",
            "delivery": "{delivery_id}",
            "mode": "{mode}",
            "gone": "{payload.gone?}",
            "first": "{payload.gone|payload.id|id}",
            "ü": "{",
        }
    )
    assert render(profile).body.decode() == (
        '{"n":1,"none":null,"nested":{"list":["invoice.paid",2.5,true],"text":"at 1700000000: msg_1"},'
        '"attempt":3,"attempt_text":"3","timestamp":1700000000,"account":"acc-7","delivery":"del_1","mode":"live",'
        '"first":"inv_123456","ü":"{"}'
    )


@pytest.mark.parametrize(
    "raw", [b"1.10", b"1E5", b"12345678901234567890", b'"\\u00e9"', b"[1, 2]", b'{ "a" : 1 }', b"null", b"true"]
)
def test_a_member_of_the_payload_keeps_its_bytes(raw: bytes) -> None:
    message = MESSAGE._replace(payload=b'{"x" :  ' + raw + b"  }")
    assert render(with_body({"x": "{payload.x}"}), message=message).body == b'{"x":' + raw + b"}"


def test_texts_of_an_event_are_quoted_as_json() -> None:
    message = MESSAGE._replace(event_id='"\\\n', account="naïve")
    body = render(with_body(["{id}", "{account}"]), message=message).body
    assert json.loads(body) == ['"\\\n', "naïve"]


def test_a_required_member_that_is_missing_is_an_error_of_this_event() -> None:
    renderer = prepare(wire(with_body({"x": "{payload.x}"})))
    for payload in (b"{}", b"[]", b"broken"):
        with pytest.raises(RenderError, match=r"There is no value for \{payload.x\}"):
            renderer(MESSAGE._replace(payload=payload))
    assert renderer(MESSAGE._replace(payload=b'{"x":1}')).body == b'{"x":1}'


def test_a_body_of_which_nothing_is_left_is_an_error_of_this_event() -> None:
    with pytest.raises(RenderError, match="Nothing is left"):
        render(with_body("{payload.x?}"))


def test_a_body_can_be_one_value() -> None:
    assert render(with_body("{payload}")).body == BODY


@pytest.mark.parametrize(
    ("profile", "error"),
    [
        (Profile("own", "x", body=Body("envelope", "{")), "no JSON"),
        (Profile("own", "x", body=Body("thin", "")), "no JSON"),
        (with_body({"a": "{nonsense}"}), "no placeholder {nonsense}"),
        (with_body({"a": "{nonsense|id}"}), "no placeholder {nonsense}"),
        (with_body({"a": "{body}"}), "no placeholder {body}"),
        (Profile("own", "x", headers=(("X-A", "{payload}"),)), "no placeholder {payload}"),
        (Profile("own", "x", headers=(("X-A", "{nonsense}"),)), "no placeholder {nonsense}"),
        (with_signature(message="{nonsense}"), "no placeholder {nonsense}"),
        (with_signature(item="v1"), "does not contain its signature"),
        (with_signature(value="v1"), "does not contain its signatures"),
        (with_signature(place="field"), "Only a form"),
        (with_signature(key="hex"), "not hexadecimal"),
        (with_signature(key="pem", algorithm="rsa-sha256", signer="provider"), "needs a key of the provider"),
    ],
)
def test_a_profile_that_cannot_work_is_refused_when_it_is_prepared(profile: Profile, error: str) -> None:
    with pytest.raises(ProfileError, match=error):
        prepare(wire(profile, "secret"))


@pytest.mark.parametrize("header", [("X A", "x"), ("X-A", "a\r\nb"), ("X-{id}", "{id}"), ("X-A:", "{id}")])
def test_a_profile_with_an_impossible_header_is_refused(header: tuple[str, str]) -> None:
    with pytest.raises(HeaderError):
        prepare(wire(Profile("own", "x", headers=(header,))))


def test_a_form_can_be_signed_in_a_field_of_it() -> None:
    profile = replace(with_signature(place="field", message="{payload}", join=","), body=Body("form"))
    rendered = render(profile, "one", "two", message=MESSAGE._replace(payload=b'{"a":"1&2","b":null}'))
    signatures = [hmac.digest(key, b'{"a":"1&2","b":null}', "sha256").hex() for key in (b"one", b"two")]
    assert rendered.body.decode() == f"a=1%262&b=&X-Sig={signatures[0]}%2C{signatures[1]}"
    assert "X-Sig" not in headers(rendered)
    assert render(profile, message=MESSAGE._replace(payload=b'{"a":"1"}', now=NOW)).body == b"a=1"


@pytest.mark.parametrize("payload", [b'{"a":"\\ud800"}', b'{"a":"\xff"}', b'{"a":' + b"[" * 100_000, b'{"a":1}}'])
def test_a_payload_that_is_no_json_cannot_become_a_form(payload: bytes) -> None:
    with pytest.raises(RenderError, match=r"The payload is (no JSON object|not UTF-8)\."):
        render(Profile("own", "x", body=Body("form")), message=MESSAGE._replace(payload=payload))
