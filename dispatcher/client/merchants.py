"""The provider's merchants, their accounts, their API keys and the ways into their portals."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Unpack

from dispatcher.client.calling import PAGE_SIZE, Caller, moment, segment
from dispatcher.client.fields import MerchantChanges, NewMerchantFields
from dispatcher.client.results import Account, ApiKey, Merchant, NewApiKey, PortalLink


class Merchants:
    """`provider.merchants`; each is named by its id or its reference."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def list(self, *, page_size: int = PAGE_SIZE) -> Iterator[Merchant]:
        """Newest first."""
        return self._caller.pages("/merchants", Merchant, page_size=page_size)

    def get(self, merchant: str) -> Merchant:
        return self._caller.get(_path(merchant), Merchant)

    def create(self, name: str, *, idempotency_key: str | None = None, **fields: Unpack[NewMerchantFields]) -> Merchant:
        return self._caller.post("/merchants", Merchant, {"name": name, **fields}, idempotency_key=idempotency_key)

    def update(self, merchant: str, **changes: Unpack[MerchantChanges]) -> Merchant:
        return self._caller.patch(_path(merchant), Merchant, changes)

    def delete(self, merchant: str) -> None:
        self._caller.delete(_path(merchant))

    def put_account(self, merchant: str, reference: str) -> Account:
        """Register an account, card or terminal, so that events may name it instead of the merchant."""
        return self._caller.put(f"{_path(merchant)}/accounts/{segment(reference)}", Account)

    def delete_account(self, merchant: str, reference: str) -> None:
        self._caller.delete(f"{_path(merchant)}/accounts/{segment(reference)}")


class Keys:
    """`provider.keys`: the API keys of merchants."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def list(self, merchant: str, *, page_size: int = PAGE_SIZE) -> Iterator[ApiKey]:
        return self._caller.pages(f"{_path(merchant)}/api-keys", ApiKey, page_size=page_size)

    def create(
        self,
        merchant: str,
        *,
        name: str | None = None,
        expires_at: datetime | None = None,
        idempotency_key: str | None = None,
    ) -> NewApiKey:
        """The answer holds the key itself, this once."""
        given: dict[str, Any] = {"name": name, "expires_at": moment(expires_at)}
        body = {field: value for field, value in given.items() if value is not None}
        return self._caller.post(f"{_path(merchant)}/api-keys", NewApiKey, body, idempotency_key=idempotency_key)

    def revoke(self, merchant: str, key: str) -> None:
        self._caller.delete(f"{_path(merchant)}/api-keys/{segment(key)}")


class PortalLinks:
    """`provider.portal_links`: one-time links, for pages of your own that know who asks."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def create(
        self,
        merchant: str,
        *,
        expires_in_s: int | None = None,
        access: str | None = None,
        idempotency_key: str | None = None,
    ) -> PortalLink:
        """`access` is `full` or `read_only`."""
        given = {"expires_in": expires_in_s, "access": access}
        body = {field: value for field, value in given.items() if value is not None}
        return self._caller.post(f"{_path(merchant)}/portal-links", PortalLink, body, idempotency_key=idempotency_key)


def _path(merchant: str) -> str:
    return f"/merchants/{segment(merchant)}"
