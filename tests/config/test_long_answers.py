"""A file that is larger than memory should be leaves in pieces: whole, from any byte, and while others are served."""

import socket
from contextlib import ExitStack, closing
from datetime import timedelta
from http.client import HTTPConnection
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import pytest
from django.utils import timezone

from config.front import THREADS
from deliveries.models import Export
from deliveries.services import exports
from tests.api_schema.world import Web, running_web
from tests.subscriptions.conftest import Person, make_person

pytestmark = pytest.mark.django_db(transaction=True)
SIZE = 12 * exports.CHUNK_BYTES + 12_345


def make_file(person: Person) -> tuple[Export, bytes]:
    """A finished export whose file cannot be compressed."""
    now = timezone.now()
    content = Random(7).randbytes(SIZE)
    export = Export.objects.create(
        owner_id=person.merchant.id,
        format="csv",
        since=now - timedelta(days=1),
        until=now,
        actor="t",
        created_at=now,
        updated_at=now,
    )
    exports._store(export, content)
    export.status, export.finished_at, export.expires_at = "finished", now, now + timedelta(days=1)
    export.save()
    return export, content


def fetch(web: Web, person: Person, path: str, **headers: str) -> tuple[int, bytes]:
    with closing(HTTPConnection("127.0.0.1", web.port, timeout=20)) as connection:
        connection.request("GET", path, headers={"Authorization": f"Bearer {person.api.key}"} | headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


def test_a_large_file_leaves_in_pieces(tmp_path: Path) -> None:
    alice, charlie = make_person("Alice"), make_person("Charlie")
    export, content = make_file(alice)
    path = f"/api/v2/webhooks/exports/{export.public_id}/file"
    with running_web(tmp_path / "web.log") as web:
        assert fetch(web, alice, path) == (200, content)
        assert fetch(web, alice, path, Range="bytes=3000000-9999999") == (206, content[3_000_000:10_000_000])
        assert fetch(web, charlie, path)[0] == 404
        with ExitStack() as stack:
            # More callers than there are threads, none of which takes what it asked for.
            for _ in range(2 * THREADS):
                idle = stack.enter_context(closing(socket.create_connection(("127.0.0.1", web.port))))
                key = f"Authorization: Bearer {alice.api.key}"
                idle.sendall(f"GET {urlsplit(path).path} HTTP/1.1\r\nHost: localhost\r\n{key}\r\n\r\n".encode())
                assert idle.recv(12) == b"HTTP/1.1 200"
            assert fetch(web, alice, "/api/v2/webhooks/exports")[0] == 200
            assert fetch(web, alice, path, Range="bytes=0-9") == (206, content[:10])
        # All of them have hung up in the middle.
        assert fetch(web, alice, path) == (200, content)
    assert "Traceback" not in (tmp_path / "web.log").read_text()
