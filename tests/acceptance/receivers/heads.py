"""Status lines and headers that are slow, endless, broken, odd or hostile."""

from dispatcher.outcomes import Reason
from tests.acceptance.receivers.cases import CAP, Case, answered, delivered, dripping, flooding, say
from tests.receivers import Connection

HEAD = b"HTTP/1.1 200 OK\r\n"
EMPTY = b"Content-Length: 0\r\n\r\n"
OK = HEAD + EMPTY

TOO_LARGE = Reason.RESPONSE_TOO_LARGE_HEADERS
TIMEOUT = Reason.RESPONSE_TIMEOUT
PROTOCOL = Reason.PROTOCOL_ERROR
CLOSED = Reason.CONNECTION_CLOSED
RESET = Reason.CONNECTION_RESET

SLOW = [
    Case("no answer at all", say(b""), TIMEOUT, lasts=True),
    Case("status line byte by byte", dripping(b"", b"HTTP/1.1 200 " + b"y" * 1_000), TIMEOUT, lasts=True),
    Case("half a status line", say(b"HTTP/1.1 2"), TIMEOUT, lasts=True),
    Case("headers byte by byte", dripping(HEAD, b"X: " + b"y" * 1_000), TIMEOUT, lasts=True),
    Case("stops in a folded header", say(HEAD + b"A: b\r\n "), TIMEOUT, lasts=True),
    Case("a header a moment", dripping(HEAD, b"a:\r\n" * 1_000), TIMEOUT, lasts=True),
    Case("all but the last line end", say(HEAD + EMPTY[:-1]), TIMEOUT, lasts=True),
    Case("100 Continue, then silence", say(b"HTTP/1.1 100 Continue\r\n\r\n"), TIMEOUT, lasts=True),
    Case("100 Continue byte by byte", dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 50), TIMEOUT, lasts=True),
    Case("103 Early Hints, then silence", say(b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n"), TIMEOUT, lasts=True),
    delivered("a slow answer in time", dripping(b"", OK, every_s=0.005)),
]

ENDLESS = [
    Case("100 Continue for ever", flooding(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), TOO_LARGE),
    Case("102 Processing for ever", flooding(b"", b"HTTP/1.1 102 Processing\r\nX: y\r\n\r\n"), TOO_LARGE),
    Case("199 with headers for ever", flooding(b"", b"HTTP/1.1 199 X\r\n" + b"a:b\r\n" * 99 + b"\r\n"), TOO_LARGE),
    Case("headers for ever", flooding(HEAD, b"X-Padding: " + b"y" * 100 + b"\r\n"), TOO_LARGE),
    Case("short headers for ever", flooding(HEAD, b"a:\r\n" * 100), TOO_LARGE),
    Case("one header for ever", flooding(HEAD + b"X: ", b"y" * 1_000), TOO_LARGE),
    Case("one name of a header for ever", flooding(HEAD, b"y" * 1_000), TOO_LARGE),
    Case("a folded header for ever", flooding(HEAD + b"X: y\r\n", b" y\r\n" * 100), TOO_LARGE),
    Case("a reason phrase for ever", flooding(b"HTTP/1.1 200 ", b"y" * 1_000), TOO_LARGE),
    Case("100,000 small headers", say(HEAD + b"a: b\r\n" * 100_000 + EMPTY), TOO_LARGE),
    Case("6,000 tiny headers", say(HEAD + b"a:\r\n" * 6_000 + EMPTY), TOO_LARGE),
    Case("5,001 headers", say(HEAD + b"a:\r\n" * 5_000 + EMPTY), TOO_LARGE),
    Case(
        "5,001 headers over two blocks",
        say(b"HTTP/1.1 103 X\r\n" + b"a:\r\n" * 2_500 + b"\r\n" + HEAD + b"a:\r\n" * 2_500 + EMPTY),
        TOO_LARGE,
    ),
    Case("a header of 70,000 bytes", say(HEAD + b"X: " + b"y" * 70_000 + b"\r\n" + EMPTY), TOO_LARGE),
    Case("a header of 10 MB", say(HEAD + b"X: " + b"y" * 10_000_000 + b"\r\n" + EMPTY), TOO_LARGE),
    Case("20 cookies of 4 KiB", say(HEAD + (b"Set-Cookie: a=" + b"y" * 4_000 + b"\r\n") * 20 + EMPTY), TOO_LARGE),
    delivered("1,000 headers", say(HEAD + b"a: b\r\n" * 1_000 + EMPTY)),
    delivered("5,000 headers", say(HEAD + b"a:\r\n" * 4_999 + EMPTY)),
    delivered(
        "headers of exactly 64 KiB", say(HEAD + b"X: " + b"y" * (CAP - len(HEAD) - len(EMPTY) - 5) + b"\r\n" + EMPTY)
    ),
]

BROKEN = [
    Case("closes without an answer", say(b"", Connection.close), CLOSED),
    Case("resets without an answer", say(b"", Connection.reset), RESET),
    Case("closes in the status line", say(b"HTTP/1.1 20", Connection.close), CLOSED),
    Case("closes in the prefix", say(b"HT", Connection.close), CLOSED),
    Case("closes after the status line", say(HEAD, Connection.close), CLOSED),
    Case("closes in a header", say(HEAD + b"A: b\r\nC: ", Connection.close), CLOSED),
    Case("closes in a folded header", say(HEAD + b"A: b\r\n ", Connection.close), CLOSED),
    Case("closes in a folded header of a 103", say(b"HTTP/1.1 103 X\r\nA: b\r\n\t", Connection.close), CLOSED),
    Case("resets in a folded header", say(HEAD + b"A: b\r\n c", Connection.reset), RESET),
    Case("resets in a header", say(HEAD + b"A: b\r\nC: ", Connection.reset), RESET),
    Case("closes before the last line end", say(OK[:-2], Connection.close), CLOSED),
    Case("closes after 100 Continue", say(b"HTTP/1.1 100 Continue\r\n\r\n", Connection.close), CLOSED),
    Case("resets after 103", say(b"HTTP/1.1 103 Hints\r\n\r\n", Connection.reset), RESET),
    *(
        answered(name, answer, PROTOCOL)
        for name, answer in (
            ("a word", b"hello"),
            ("HTTP/0.9", b"<html>old</html>\r\n"),
            ("an HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
            ("an HTTP/2 settings frame", b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x80"),
            ("an HTTP/2 goaway frame", b"\x00\x00\x08\x07\x00\x00\x00\x00\x00" + b"\x00" * 8),
            ("a greeting of SMTP", b"220 mail ready\r\n"),
            ("a banner of SSH", b"SSH-2.0-OpenSSH_9.9\r\n"),
            ("an answer of Redis", b"-ERR unknown command 'POST'\r\n"),
            ("an answer of ICY", b"ICY 200 OK\r\n\r\n"),
            ("an answer of RTSP", b"RTSP/1.0 200 OK\r\n\r\n"),
            ("a TLS alert on the plain port", b"\x15\x03\x03\x00\x02\x02\x46"),
            ("a request", b"POST / HTTP/1.1\r\nHost: x\r\n\r\n"),
            ("line ends before the status line", b"\r\n\r\n" + OK),
            ("lower-case http", OK.replace(b"HTTP", b"http")),
            ("HTTP/1.7", b"HTTP/1.7 200 OK\r\n" + EMPTY),
            ("HTTP/11.1", b"HTTP/11.1 200 OK\r\n" + EMPTY),
            ("HTTP/4", b"HTTP/4 200 OK\r\n" + EMPTY),
            ("HTTP/1", b"HTTP/1 200 OK\r\n" + EMPTY),
            ("no version", b"HTTP/ 200 OK\r\n" + EMPTY),
            ("no space", b"HTTP/1.1200 OK\r\n" + EMPTY),
            ("status 99", b"HTTP/1.1 99 OK\r\n" + EMPTY),
            ("status 000", b"HTTP/1.1 000 OK\r\n" + EMPTY),
            ("status 099", b"HTTP/1.1 099 OK\r\n" + EMPTY),
            ("status 1000", b"HTTP/1.1 1000 OK\r\n" + EMPTY),
            ("status 2000", b"HTTP/1.1 2000 OK\r\n" + EMPTY),
            ("status 20", b"HTTP/1.1 20 OK\r\n" + EMPTY),
            ("status 2OO", b"HTTP/1.1 2OO OK\r\n" + EMPTY),
            ("status -200", b"HTTP/1.1 -200 OK\r\n" + EMPTY),
            ("status +200", b"HTTP/1.1 +200 OK\r\n" + EMPTY),
            ("status 0200", b"HTTP/1.1 0200 OK\r\n" + EMPTY),
            ("status 0x200", b"HTTP/1.1 0x200 OK\r\n" + EMPTY),
            ("status 200.5", b"HTTP/1.1 200.5 OK\r\n" + EMPTY),
            ("status 200OK", b"HTTP/1.1 200OK\r\n" + EMPTY),
            ("a status of a hundred digits", b"HTTP/1.1 " + b"2" * 100 + b" OK\r\n" + EMPTY),
            ("no status", b"HTTP/1.1 OK\r\n" + EMPTY),
            ("an empty status", b"HTTP/1.1\r\n" + EMPTY),
            ("two spaces before the status", b"HTTP/1.1  200 OK\r\n" + EMPTY),
            ("a tab before the status", b"HTTP/1.1\t200 OK\r\n" + EMPTY),
            ("a tab after the status", b"HTTP/1.1 200\tOK\r\n" + EMPTY),
            ("a space before the status line", b" " + OK),
            ("HTTP/1.2", b"HTTP/1.2 200 OK\r\n" + EMPTY),
            ("only spaces for a status", b"HTTP/1.1    \r\n" + EMPTY),
            ("NUL in the status line", b"HTTP/1.1 200 O\0K\r\n" + EMPTY),
            ("a header without a colon", HEAD + b"no colon\r\n" + EMPTY),
            ("NUL in a value", HEAD + b"A: nul\0\r\n" + EMPTY),
            ("a carriage return in the status line", b"HTTP/1.1 200 O\rK\r\n" + EMPTY),
            ("a carriage return in a value", HEAD + b"A: x\rB: y\r\n" + EMPTY),
            ("two carriage returns at the end of a header", HEAD + b"A: x\r\r\n" + EMPTY),
            ("NUL in a header of a 103", b"HTTP/1.1 103 X\r\nA: \0\r\n\r\n" + OK),
            ("no colon in a header of a 103", b"HTTP/1.1 103 X\r\nA\r\n\r\n" + OK),
            ("a length continued by another", HEAD + b"Content-Length: 0\r\n 0\r\n\r\n"),
            ("NUL in a name", HEAD + b"A\0: nul\r\n" + EMPTY),
            ("no length in Content-Length", HEAD + b"Content-Length: many\r\n\r\n"),
            ("negative Content-Length", HEAD + b"Content-Length: -1\r\n\r\n"),
            ("hexadecimal Content-Length", HEAD + b"Content-Length: 0x10\r\n\r\n"),
            ("Content-Length with a plus", HEAD + b"Content-Length: +2\r\n\r\nok"),
            ("Content-Length with a fraction", HEAD + b"Content-Length: 2.5\r\n\r\nok"),
            ("two lengths", HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
            ("two lengths in one line", HEAD + b"Content-Length: 1, 2\r\n\r\nab"),
            ("an empty Content-Length", HEAD + b"Content-Length:\r\n\r\n"),
        )
    ),
]

ODD = [
    *(
        delivered(name, say(answer))
        for name, answer in (
            ("no reason phrase", b"HTTP/1.1 200\r\n" + EMPTY),
            ("no reason phrase but a space", b"HTTP/1.1 200 \r\n" + EMPTY),
            ("a reason phrase in latin-1", b"HTTP/1.1 200 \xe9\xff\r\n" + EMPTY),
            ("bare line feeds", b"HTTP/1.1 200 OK\nA: 1\nContent-Length: 0\n\n"),
            ("mixed line ends", b"HTTP/1.1 200 OK\nA: 1\r\nContent-Length: 0\r\n\n"),
            ("a folded header", HEAD + b"A: 1\r\n 2\r\n\t3\r\n" + EMPTY),
            ("a folded header at first", HEAD + b" x: y\r\n" + EMPTY),
            ("a folded length", HEAD + b"Content-Length:\r\n 0\r\n\r\n"),
            ("200 Connection headers", HEAD + b"Connection: x\r\n" * 200 + EMPTY),
            ("200 equal lengths", HEAD + b"Content-Length: 0\r\n" * 200 + b"\r\n"),
            ("a space before the colon of Connection", HEAD + b"Connection : close\r\n" + EMPTY),
            ("no sense in the length of a 103", b"HTTP/1.1 103 X\r\nContent-Length: x\r\n\r\n" + OK),
            ("HTTP/2 in the status line", b"HTTP/2 200\r\n" + EMPTY),
            ("5,000 codings of the content", HEAD + b"Content-Encoding: " + b"gzip, " * 5_000 + b"gzip\r\n" + EMPTY),
            ("dates of nonsense", HEAD + b"Last-Modified: " + b"9" * 5_000 + b"\r\nDate: x\r\n" + EMPTY),
            ("an empty name", HEAD + b": x\r\n" + EMPTY),
            ("an empty value", HEAD + b"A:\r\n" + EMPTY),
            ("a name with a space", HEAD + b"A B: x\r\n" + EMPTY),
            ("a value in latin-1 and a tab", HEAD + b"A: \xe9\t\xff\x01\x7f\r\n" + EMPTY),
            ("the same length twice", HEAD + b"Content-Length: 0\r\n" + EMPTY),
            ("Content-Length with zeros before it", HEAD + b"Content-Length: 000\r\n\r\n"),
            ("Content-Length with spaces around it", HEAD + b"Content-Length:   0  \r\n\r\n"),
            ("103, then 200", b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" + OK),
            ("100, 102 and 103, then 200", b"".join(b"HTTP/1.1 %d X\r\n\r\n" % n for n in (100, 102, 103)) + OK),
            ("HTTP/1.0 with a length", b"HTTP/1.0 200 OK\r\n" + EMPTY),
            ("a Set-Cookie for a million years", HEAD + b"Set-Cookie: a=b; Expires=Fri, 31 Dec 999999\r\n" + EMPTY),
            ("a Location that nobody follows", HEAD + b"Location: http://127.0.0.1/\r\n" + EMPTY),
            ("a Refresh that nobody follows", HEAD + b"Refresh: 0; url=http://127.0.0.1/\r\n" + EMPTY),
            ("Alt-Svc", HEAD + b'Alt-Svc: h2="127.0.0.1:1"; ma=9\r\n' + EMPTY),
            ("Strict-Transport-Security", HEAD + b"Strict-Transport-Security: max-age=9\r\n" + EMPTY),
        )
    ),
    Case("status 600", say(b"HTTP/1.1 600 X\r\n" + EMPTY), Reason.HTTP_UNEXPECTED_STATUS, 600),
    Case("status 999", say(b"HTTP/1.1 999 X\r\n" + EMPTY), Reason.HTTP_UNEXPECTED_STATUS, 999),
    Case("status 304 with a body", say(b"HTTP/1.1 304 X\r\nContent-Length: 5\r\n\r\nhello"), Reason.HTTP_REDIRECT, 304),
    Case("status 407", say(b"HTTP/1.1 407 X\r\nProxy-Authenticate: Basic\r\n" + EMPTY), Reason.HTTP_CLIENT_ERROR, 407),
    Case(
        "status 401", say(b"HTTP/1.1 401 X\r\nWWW-Authenticate: Negotiate\r\n" + EMPTY), Reason.HTTP_CLIENT_ERROR, 401
    ),
    Case("status 417", say(b"HTTP/1.1 417 X\r\n" + EMPTY), Reason.HTTP_CLIENT_ERROR, 417),
    Case("status 421", say(b"HTTP/1.1 421 X\r\n" + EMPTY), Reason.HTTP_CLIENT_ERROR, 421),
    Case("status 425", say(b"HTTP/1.1 425 X\r\n" + EMPTY), Reason.HTTP_CLIENT_ERROR, 425),
    Case("status 408", say(b"HTTP/1.1 408 X\r\n" + EMPTY), Reason.HTTP_CLIENT_ERROR, 408),
    Case("status 300 of no length", say(b"HTTP/1.1 300 X\r\n\r\n", Connection.close), Reason.HTTP_REDIRECT, 300),
]

HEADS = [*SLOW, *ENDLESS, *BROKEN, *ODD]
