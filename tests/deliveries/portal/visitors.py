"""Somebody who is signed in to the portal and looks at the pages of one merchant."""

import html
import re
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import User
from django.test import Client

from subscriptions.models import Membership, Merchant
from tests.statements import counting_statements

NO_QUERY = re.compile(r"^(SAVEPOINT|RELEASE|ROLLBACK|SET|BEGIN|COMMIT)")


@dataclass
class Visitor:
    """Pages are named below the merchant's address: `get("log/")`."""

    merchant: Merchant
    client: Client = field(default_factory=Client)

    def address(self, page: str) -> str:
        return f"/portal/{self.merchant.public_id}/{page}"

    def get(self, page: str, **query: str) -> Any:
        return self.client.get(self.address(page), query)

    def post(self, page: str, data: dict[str, Any] | None = None, **headers: str) -> Any:
        return self.client.post(
            self.address(page), data or {}, headers={n.replace("_", "-"): v for n, v in headers.items()}
        )

    def part(self, page: str, *, target: str = "", **query: str) -> Any:
        """As htmx asks."""
        return self.client.get(self.address(page), query, headers={"HX-Request": "true", "HX-Target": target})

    def read(self, page: str, **query: str) -> str:
        """What a person reads on the page: its text without tags, every run of spaces one space."""
        answer = self.get(page, **query)
        assert answer.status_code == 200, answer.content
        return words_of(answer)

    def count(self, page: str, **query: str) -> int:
        """How many queries the page takes, those of the session and the sign-in included."""
        with counting_statements() as seen:
            answer = self.get(page, **query)
        assert answer.status_code == 200, answer.content
        return sum(not NO_QUERY.match(text) for text in seen)


def words_of(answer: Any) -> str:
    text = answer.content.decode()
    text = re.sub(r"<svg.*?</svg>", " ", text, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())


def sign_in(merchant: Merchant, *, role: str = "owner", name: str = "") -> Visitor:
    """A new user who is a member of the merchant."""
    user = User.objects.create_user(name or f"{merchant.reference}-{role}")
    Membership.objects.create(
        merchant=merchant, user=user, role=role, created_at=merchant.created_at, updated_at=merchant.created_at
    )
    visitor = Visitor(merchant)
    visitor.client.force_login(user)
    return visitor
