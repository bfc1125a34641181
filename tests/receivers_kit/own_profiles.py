"""Wire formats such as a provider writes down: what the built-in ones have no example of, and texts made to trip."""

from dispatcher.ack import BodyContains, PointerEquals, StatusIn
from dispatcher.profiles.model import Body, Profile, Retry, Signature

TRAPS = """`${1}` #{1} ?> */ \\u000a \\" ' " {{ %s $body"""
# Each ends a text or a comment, or begins code, in one of the languages.

OWN = {
    profile.name: profile
    for profile in (
        Profile(
            "own-jws",
            source="a test",
            signatures=(Signature("Acme-JWS", "pem", algorithm="jws-es256", encoding="text", signer="provider"),),
            key_form="none",
        ),
        Profile(
            "own-jws-list",
            source="a test",
            headers=(("Acme-Time", "{timestamp}"),),
            signatures=(
                Signature(
                    "Acme-JWS",
                    "pem",
                    algorithm="jws-es256",
                    encoding="text",
                    message="{timestamp}\n{body}",
                    item="jws={signature}",
                    join=", ",
                    signer="provider",
                ),
            ),
            key_form="none",
        ),
        Profile(
            "own-ed25519",
            source="a test",
            signatures=(
                Signature(
                    "Acme-Signature",
                    "pem",
                    algorithm="ed25519",
                    encoding="base64url",
                    item='sig="{signature}"',
                    join=", ",
                    value="at={timestamp} {items}",
                    message="{timestamp}{body}",
                    signer="provider",
                ),
            ),
            key_form="none",
        ),
        Profile(
            "own-ed25519-hex",
            source="a test",
            signatures=(Signature("Acme-Signature", "hex", algorithm="ed25519"),),
            key_form="hex",
        ),
        Profile(
            "own-rsa",
            source="a test",
            headers=(("Acme-Event", "{type}"), ("Acme-Id", "{id}")),
            signatures=(
                Signature(
                    "Acme-Signature",
                    "pem",
                    algorithm="rsa-sha256",
                    encoding="base64",
                    message="{type}/{id}/{body}",
                    item="rsa={signature}",
                    signer="provider",
                ),
                Signature("Acme-Weak", "utf8", algorithm="hmac-sha1", message="{body}"),
            ),
        ),
        Profile(
            "own-wrapped",
            source="a test",
            signatures=(
                Signature(
                    "Acme-Signature",
                    "hex",
                    algorithm="hmac-sha512",
                    message="{timestamp}\n{url}\n{body}",
                    item="<{signature}>",
                    value="(t/{timestamp}) s={items}.",
                ),
            ),
            ack=StatusIn((202, 204)),
            retry=Retry(schedule=(60,), stop_statuses=frozenset({400, 401, 403})),
            key_form="hex",
        ),
        Profile(
            "own-form",
            source="a test",
            body=Body("form"),
            signatures=(
                Signature(
                    "acme.sig",
                    "base64",
                    encoding="base64url",
                    message="{url}?{form_sorted}",
                    place="field",
                ),
            ),
            ack=PointerEquals("/answers/0/status", 'say "ok"'),
            key_form="trimmed_base64",
        ),
        Profile(
            "own-form-list",
            source="a test",
            body=Body("b64url_form", field="it is"),
            signatures=(
                Signature("acme-sig", "whsec", message="{data}", join="|", item="v1:{signature}", place="field"),
                Signature("Acme-Old", "whsec", algorithm="md5-concat", message="{data}"),
            ),
            ack=BodyContains("[žinutė gauta]"),
        ),
        Profile(
            "own-md5",
            source="a test",
            body=Body("b64url_form"),
            signatures=(
                Signature("ss1", "utf8", algorithm="md5-concat", encoding="base64", message="ž{data}", place="field"),
            ),
        ),
        Profile(
            "own-traps",
            source="a test",
            headers=(("Acme-Kind", "{type}"), ("Acme-Delivery", "{delivery_id}")),
            signatures=(
                Signature(
                    "Acme-Signature",
                    "whsec_or_utf8",
                    message=f"{TRAPS}{{type}}\t{TRAPS}\n{{delivery_id}}ž{{body}}{TRAPS}",
                    item=f"{TRAPS}={{signature}}",
                    join="|#|",
                    value=f"{TRAPS}{{delivery_id}}/{{items}}{TRAPS}",
                ),
            ),
            ack=BodyContains(TRAPS),
        ),
    )
}
