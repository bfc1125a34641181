"""Sessions in Postgres, each under a digest of its key: who reads a dump of the database cannot take one over."""

import hashlib
from typing import Any

from django.contrib.sessions.backends import db
from django.contrib.sessions.base_session import AbstractBaseSession
from django.utils import timezone

DIGEST_LENGTH = 40
# As many hexadecimal characters as the column holds: 160 bits of a SHA-256.


class SessionStore(db.SessionStore):
    """Django's, but for where it looks: the cookie has the key, the row its digest."""

    def _get_session_from_db(self) -> AbstractBaseSession | None:
        rows = self.model.objects.filter(session_key=_digest(self.session_key or ""), expire_date__gt=timezone.now())
        found = rows.first()
        if found is None:
            self._session_key = None
        return found

    def exists(self, session_key: str) -> bool:
        return bool(super().exists(_digest(session_key)))

    def create_model_instance(self, data: dict[str, Any]) -> AbstractBaseSession:
        made = super().create_model_instance(data)
        made.session_key = _digest(made.session_key)
        return made

    def delete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        if key is not None:
            self.model.objects.filter(session_key=_digest(key)).delete()


def _digest(key: str) -> str:
    return hashlib.sha256(b"signet session:" + key.encode()).hexdigest()[:DIGEST_LENGTH]
