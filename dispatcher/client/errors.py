"""Everything that the client raises, as one tree.

SignetError
├── ApiError              the API refused; its attributes say what and why
│   ├── Unauthenticated   401  no key, or one that is unknown, expired or revoked
│   ├── Forbidden         403  the key may not do this
│   ├── NotFound          404  no such object, or somebody else's
│   ├── Conflict          409  the present state does not allow it
│   ├── Stale             412  the object has changed since the version in `if_match`
│   ├── TooLarge          413  more bytes than the platform takes
│   ├── Invalid           422  wrong fields; `errors` names each
│   ├── TooManyRequests   429  asked too often, also after the retries
│   └── Unavailable       5xx  trouble on the platform's side, also after the retries
├── NetworkError          no whole answer came; what was asked may have been done all the same
├── UnexpectedAnswer      something answered that is not this API
├── BadInput              what was given cannot be sent; also a ValueError
└── SignatureError        a delivery is not what it claims to be (`dispatcher.client.webhooks`)
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus

import msgspec


class FieldError(msgspec.Struct, frozen=True):
    """One wrong field: a JSON pointer into the request, a code for programs and a sentence for people."""

    pointer: str = ""
    code: str = ""
    message: str = ""


class Problem(msgspec.Struct, frozen=True):
    """The members of a problem document. Source: RFC 9457; `code`, `request_id` and `errors` are Signet's."""

    title: str = ""
    detail: str = ""
    code: str = ""
    request_id: str = ""
    errors: tuple[FieldError, ...] = ()


class SignetError(Exception):
    """Anything that this client raises on purpose."""


class NetworkError(SignetError):
    """No whole answer. `is_unsent`: no connection came about, so nothing was done. `is_lasting`: trying again is of no
    use."""

    def __init__(self, message: str, *, is_unsent: bool = False, is_lasting: bool = False) -> None:
        super().__init__(message)
        self.is_unsent = is_unsent
        self.is_lasting = is_lasting


class UnexpectedAnswer(SignetError):
    """An answer that this API does not give: a redirect, a page, JSON of another form."""


class BadInput(SignetError, ValueError):
    """Seen before anything was sent: a base URL that is none, bytes that are not JSON, a time without a zone."""


class SignatureError(SignetError):
    """`reason` is `missing`, `mismatch`, `expired` or `unreadable`."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class ApiError(SignetError):
    """The API said no: `status`, `code` for programs, `title`, `detail`, `errors` for each wrong field, `request_id`.

    `retry_after_s`: after how many seconds the same request is welcome, None where it did not say.
    """

    def __init__(self, status: int, problem: Problem, *, retry_after_s: float | None = None) -> None:
        super().__init__(sentence(status, problem))
        self.status = status
        self.title = problem.title
        self.detail = problem.detail
        self.code = problem.code
        self.request_id = problem.request_id
        self.errors: Sequence[FieldError] = problem.errors
        self.retry_after_s = retry_after_s


class Unauthenticated(ApiError):
    """401"""


class Forbidden(ApiError):
    """403"""


class NotFound(ApiError):
    """404"""


class Conflict(ApiError):
    """409"""


class Stale(ApiError):
    """412"""


class TooLarge(ApiError):
    """413"""


class Invalid(ApiError):
    """422"""


class TooManyRequests(ApiError):
    """429"""


class Unavailable(ApiError):
    """500 and above"""


KIND_OF: Mapping[int, type[ApiError]] = {
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    412: Stale,
    413: TooLarge,
    422: Invalid,
    429: TooManyRequests,
}


def api_error(status: int, body: bytes, *, request_id: str = "", retry_after_s: float | None = None) -> ApiError:
    """The error in an answer. What is no problem document, as a proxy may send, is told by its status."""
    try:
        problem = msgspec.json.decode(body, type=Problem)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        problem = Problem()
    whole = msgspec.structs.replace(
        problem, title=problem.title or _phrase(status), request_id=problem.request_id or request_id
    )
    kind = KIND_OF.get(status, Unavailable if status >= 500 else ApiError)
    return kind(status, whole, retry_after_s=retry_after_s)


def sentence(status: int, problem: Problem) -> str:
    """All of it as one line."""
    said = [f"{status} {problem.title}".strip()]
    wrong = "; ".join(f"{error.pointer or '/'}: {error.message}" for error in problem.errors)
    # With one wrong field the detail is that field's sentence.
    if detail := wrong or problem.detail:
        said.append(f": {detail}")
    if problem.request_id:
        said.append(f" (request {problem.request_id})")
    return "".join(said)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
