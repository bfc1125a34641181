"""What a service may refuse. The API turns each into its problem answer; commands print the sentence.

Refusal
├── NotFound       no such object, or somebody else's                 404
├── Forbidden      the caller may not do this                         403
├── Conflict       the present state does not allow it                409
├── Stale          the caller's version is not the current one        412
├── TooLarge       more bytes than the setting allows                 413
├── TooMany        asked for again too soon; `retry_after_s` says when 429
│   └── Overloaded too many others ask for it at present              503
└── Invalid        one or more fields are wrong                       422
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldError:
    """One wrong field: a JSON pointer into the request, a code for programs and a sentence for people."""

    pointer: str
    code: str
    message: str


class Refusal(Exception):
    """A service said no. `code` is for programs, the sentence for people; neither holds a secret."""

    default_code = "refused"

    def __init__(self, detail: str, *, code: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or self.default_code

    @property
    def sentence(self) -> str:
        """Everything that is wrong, for a terminal."""
        return self.detail


class NotFound(Refusal):
    default_code = "not_found"


class Forbidden(Refusal):
    default_code = "forbidden"


class Conflict(Refusal):
    default_code = "conflict"


class Stale(Refusal):
    default_code = "version_mismatch"


class TooLarge(Refusal):
    default_code = "payload_too_large"


class TooMany(Refusal):
    """`retry_after_s`: whole seconds after which the same request is welcome."""

    default_code = "too_many_requests"

    def __init__(self, detail: str, *, retry_after_s: int, code: str = "") -> None:
        super().__init__(detail, code=code)
        self.retry_after_s = retry_after_s


class Overloaded(TooMany):
    """Not the caller's fault: what it takes is in use by others."""

    default_code = "overloaded"


class Invalid(Refusal):
    """Wrong fields. `errors` is never empty."""

    default_code = "invalid"

    def __init__(self, *errors: FieldError, detail: str = "") -> None:
        super().__init__(detail or (errors[0].message if len(errors) == 1 else "Several fields are invalid."))
        self.errors = errors

    @property
    def sentence(self) -> str:
        return " ".join(f"{error.pointer.removeprefix('/') or 'body'}: {error.message}" for error in self.errors)
