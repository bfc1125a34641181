"""Bodies and connections that are slow, endless, broken, odd or hostile. Complete headers have decided by then."""

import gzip

from dispatcher.outcomes import Reason
from tests.acceptance.receivers.cases import Case, delivered, dripping, flooding, say
from tests.receivers import Connection

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
UNTIL_CLOSE = HEAD + b"\r\n"
ENDED = b"0\r\n\r\n"
BOMB = gzip.compress(b"0" * 30_000_000)

TIMED_OUT = Reason.RESPONSE_TIMEOUT.value
CUT = Reason.CONNECTION_CLOSED.value
RESET = Reason.CONNECTION_RESET.value
WRONG = Reason.PROTOCOL_ERROR.value
LONG = Reason.RESPONSE_TOO_LARGE_HEADERS.value
TOO_MUCH = "body_too_large"


def announced(length: int, *headers: bytes) -> bytes:
    return HEAD + b"".join(header + b"\r\n" for header in headers) + b"Content-Length: %d\r\n\r\n" % length


def whole(body: bytes, *headers: bytes) -> bytes:
    return announced(len(body), *headers) + body


SLOW = [
    delivered("body byte by byte", dripping(announced(1_000), b"x" * 1_000), TIMED_OUT, lasts=True),
    delivered("body of no length byte by byte", dripping(UNTIL_CLOSE, b"x" * 1_000), TIMED_OUT, lasts=True),
    delivered("chunks byte by byte", dripping(CHUNKED, b"1\r\nx\r\n" * 500), TIMED_OUT, lasts=True),
    delivered("a size of a chunk byte by byte", dripping(CHUNKED, b"0" * 10, every_s=0.2), TIMED_OUT, lasts=True),
    delivered("an extension of a chunk byte by byte", dripping(CHUNKED + b"1;", b"x" * 1_000), TIMED_OUT, lasts=True),
    delivered("trailers byte by byte", dripping(CHUNKED + b"0\r\n", b"X: y\r\n" * 500), TIMED_OUT, lasts=True),
    delivered("a body that never comes", say(announced(5)), TIMED_OUT, lasts=True),
    delivered("a body that never ends", say(UNTIL_CLOSE + b"hello"), TIMED_OUT, lasts=True),
    delivered("gigabytes announced, nothing sent", say(announced(8 << 30)), TIMED_OUT, lasts=True),
    delivered("a chunk that never comes", say(CHUNKED + b"5\r\n"), TIMED_OUT, lasts=True),
    delivered("a chunk of gigabytes that never comes", say(CHUNKED + b"ffffffff\r\nx"), TIMED_OUT, lasts=True),
    delivered("no last line end after the chunks", say(CHUNKED + b"2\r\nok\r\n0\r\n"), TIMED_OUT, lasts=True),
    Case(
        "an error whose body never comes",
        say(announced(5).replace(b"200", b"503")),
        Reason.HTTP_SERVER_ERROR,
        503,
        TIMED_OUT,
        lasts=True,
    ),
]

ENDLESS = [
    delivered("body of no length for ever", flooding(UNTIL_CLOSE, b"x" * 10_000), TOO_MUCH),
    delivered("a terabyte", flooding(announced(1 << 40), b"x" * 10_000), TOO_MUCH),
    delivered("chunks for ever", flooding(CHUNKED, b"3e8\r\n" + b"x" * 1_000 + b"\r\n"), TOO_MUCH),
    delivered("chunks of one byte for ever", flooding(CHUNKED, b"1\r\nx\r\n" * 200), TOO_MUCH),
    delivered("one chunk for ever", flooding(CHUNKED + b"7fffffff\r\n", b"x" * 10_000), TOO_MUCH),
    delivered("an extension of a chunk for ever", flooding(CHUNKED + b"2;", b"x" * 1_000), TOO_MUCH),
    delivered("extensions of chunks for ever", flooding(CHUNKED, b"1;" + b"x" * 500 + b"\r\ny\r\n"), TOO_MUCH),
    delivered("trailers for ever", flooding(CHUNKED + b"2\r\nok\r\n0\r\n", b"X: y\r\n" * 100), TOO_MUCH),
    delivered("one trailer for ever", flooding(CHUNKED + b"2\r\nok\r\n0\r\nX: ", b"y" * 1_000), LONG),
    Case(
        "an error for ever", flooding(b"HTTP/1.1 500 X\r\n\r\n", b"x" * 9_999), Reason.HTTP_SERVER_ERROR, 500, TOO_MUCH
    ),
    Case("a redirect for ever", flooding(b"HTTP/1.1 302 X\r\n\r\n", b"x" * 9_999), Reason.HTTP_REDIRECT, 302, TOO_MUCH),
    Case("410 for ever", flooding(b"HTTP/1.1 410 X\r\n\r\n", b"x" * 9_999), Reason.HTTP_GONE, 410, TOO_MUCH),
]

BROKEN = [
    delivered("closes early", say(announced(10) + b"hello", Connection.close), CUT),
    delivered("resets early", say(announced(10) + b"hello", Connection.reset), RESET),
    delivered("resets after the headers", say(announced(10), Connection.reset), RESET),
    delivered("closes after the headers", say(announced(10), Connection.close), CUT),
    delivered("closes between chunks", say(CHUNKED + b"5\r\nhello\r\n", Connection.close), CUT),
    delivered("closes in a chunk", say(CHUNKED + b"9\r\nhello", Connection.close), CUT),
    delivered("closes before any chunk", say(CHUNKED, Connection.close), CUT),
    delivered("closes in the trailers", say(CHUNKED + b"0\r\nX: y\r\n", Connection.close), CUT),
    delivered("resets in a chunk", say(CHUNKED + b"9\r\nhello", Connection.reset), RESET),
    delivered("a chunk size that is no number", say(CHUNKED + b"zz\r\n"), WRONG),
    delivered("an empty chunk size", say(CHUNKED + b"\r\nok\r\n"), WRONG),
    delivered("a negative chunk size", say(CHUNKED + b"-5\r\nhello\r\n"), WRONG),
    delivered("a chunk size with a plus", say(CHUNKED + b"+5\r\nhello\r\n" + ENDED), WRONG),
    delivered("a chunk size with 0x", say(CHUNKED + b"0x5\r\nhello\r\n" + ENDED), WRONG),
    delivered("a chunk size with an underscore", say(CHUNKED + b"1_0\r\n" + b"x" * 16 + b"\r\n" + ENDED), WRONG),
    delivered("a chunk size of twenty digits", say(CHUNKED + b"f" * 20 + b"\r\nx"), WRONG),
    delivered("a chunk size of sixteen f", say(CHUNKED + b"f" * 16 + b"\r\nx"), WRONG),
    delivered("a space before the size of a chunk", say(CHUNKED + b" 2\r\nok\r\n" + ENDED), WRONG),
    delivered("no line end after a chunk", say(CHUNKED + b"2\r\nokXX" + ENDED), WRONG),
    delivered("a chunk longer than its size", say(CHUNKED + b"2\r\nhello\r\n" + ENDED), WRONG),
    delivered("a page for chunks", say(CHUNKED + b"<html>oops</html>\r\n"), WRONG),
]

ODD = [
    *(
        delivered(name, say(answer))
        for name, answer in (
            ("chunks with an extension and a trailer", CHUNKED + b"2;a=b\r\nok\r\n0\r\nX: y\r\n\r\n"),
            ("chunk sizes with zeros before them", CHUNKED + b"00000002\r\nok\r\n" + ENDED),
            ("chunks that end in line feeds", CHUNKED + b"2\nok\n0\n\n"),
            ("a space after the size of a chunk", CHUNKED + b"2 \r\nok\r\n" + ENDED),
            ("Chunked, with spaces", HEAD + b"Transfer-Encoding:  CHUNKED \r\n\r\n2\r\nok\r\n" + ENDED),
            ("chunked twice", HEAD + b"Transfer-Encoding: chunked, chunked\r\n\r\n2\r\nok\r\n" + ENDED),
            ("gzip and chunked, in two lines", HEAD + b"Transfer-Encoding: gzip\r\n" + CHUNKED[len(HEAD) :] + ENDED),
            ("chunks by HTTP/1.0", CHUNKED.replace(b"1.1", b"1.0") + b"2\r\nok\r\n" + ENDED),
            ("chunk sizes in capitals", CHUNKED + b"A\r\n" + b"x" * 10 + b"\r\n" + ENDED),
            ("chunks and a length", HEAD + b"Content-Length: 999\r\n" + CHUNKED[len(HEAD) :] + b"2\r\nok\r\n" + ENDED),
            ("a length and chunks", CHUNKED[:-2] + b"Content-Length: 1\r\n\r\n" + b"2\r\nok\r\n" + ENDED),
            ("a script", whole(b"<script>alert(1)</script>", b"Content-Type: text/html")),
            ("bytes of every value", whole(bytes(range(256)) * 4, b"Content-Type: application/octet-stream")),
            ("broken UTF-8", whole(b"\xff\xfe\xed\xa0\x80\xc0\x80", b"Content-Type: text/plain; charset=utf-8")),
            ("a charset that nobody knows", whole(b"ok", b"Content-Type: text/plain; charset=bomb")),
            ("a gzip bomb", whole(BOMB, b"Content-Encoding: gzip")),
            ("a bomb of three layers", whole(gzip.compress(BOMB), b"Content-Encoding: gzip, gzip, gzip")),
            ("a brotli that is none", whole(b"\x8b\x02\x80" * 99, b"Content-Encoding: br")),
            ("a zstd that is none", whole(b"\x28\xb5\x2f\xfd" * 99, b"Content-Encoding: zstd")),
            ("a deflate that is none", whole(b"hello", b"Content-Encoding: deflate")),
            ("a compression that nobody knows", whole(b"hello", b"Content-Encoding: bomb")),
            ("no body and Connection: close", HEAD + b"Content-Length: 0\r\nConnection: close\r\n\r\n"),
            ("a body of exactly 64 KiB", whole(b"x" * 65_536)),
        )
    ),
    delivered("64 KiB and a byte", say(whole(b"x" * 65_537)), TOO_MUCH),
    delivered("an identity coding", say(HEAD + b"Transfer-Encoding: identity\r\n\r\nok", Connection.close)),
    delivered("a coding that nobody knows", say(HEAD + b"Transfer-Encoding: x\r\n\r\nok", Connection.close)),
    delivered("gzip and chunked", say(HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\nok", Connection.close)),
    delivered("ends with the connection", say(UNTIL_CLOSE + b"hello", Connection.close)),
    delivered("HTTP/1.0 ends with the connection", say(b"HTTP/1.0 200 OK\r\n\r\nhello", Connection.close)),
    delivered("a length that overflows 64 bits, cut", say(announced(1 << 80) + b"x", Connection.close)),
    delivered(
        "a length of 5,000 digits, cut", say(HEAD + b"Content-Length: " + b"9" * 5_000 + b"\r\n\r\nx", Connection.close)
    ),
    Case("204 with a body", say(b"HTTP/1.1 204 X\r\nContent-Length: 5\r\n\r\nhello"), Reason.DELIVERED, 204),
    Case("204 with chunks", say(CHUNKED.replace(b"200", b"204") + b"2\r\nok\r\n" + ENDED), Reason.DELIVERED, 204),
    Case("205 with a body", say(whole(b"hello").replace(b"200", b"205")), Reason.DELIVERED, 205),
    Case(
        "101, another protocol",
        say(b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x05hello"),
        Reason.HTTP_UNEXPECTED_STATUS,
        101,
        WRONG,
    ),
    Case(
        "101 to h2c",
        say(b"HTTP/1.1 101 X\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"),
        Reason.HTTP_UNEXPECTED_STATUS,
        101,
        WRONG,
    ),
    delivered("a second answer on the connection", say(whole(b"ok") + b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n")),
    delivered("garbage after the answer", say(whole(b"ok") + b"\x00\xff garbage" * 100)),
    delivered("keep-alive, and closes at once", say(whole(b"ok", b"Connection: keep-alive"), Connection.close)),
    delivered("keep-alive, and resets at once", say(whole(b""), Connection.reset)),
]

BODIES = [*SLOW, *ENDLESS, *BROKEN, *ODD]
