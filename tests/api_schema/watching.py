"""A pytest plugin: every answer that any test gets from the API is held against the document.

python -m pytest -p tests.api_schema.watching tests/subscriptions tests/deliveries/api
"""

from typing import Any

import pytest
from django.test import Client


@pytest.fixture(autouse=True)
def watch(monkeypatch: pytest.MonkeyPatch) -> Any:
    from tests.api_schema.conformance import faults

    ask = Client.request
    found: list[str] = []

    def request(self: Client, **asked: Any) -> Any:
        answer = ask(self, **asked)
        found.extend(faults(answer))
        return answer

    monkeypatch.setattr(Client, "request", request)
    yield
    assert not found, "\n".join(found)
