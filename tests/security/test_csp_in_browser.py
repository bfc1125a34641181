"""A real browser finds nothing on our pages that their own policy forbids."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from deliveries.models import Attempt, Delivery
from deliveries.services import publish
from subscriptions.models import Endpoint
from subscriptions.services import merchants, message_templates, profiles
from tests.security import browser
from tests.security.routes import every_route
from tests.subscriptions.conftest import NOW, URL, make_person, make_type

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(browser.program() is None, reason="no Chromium here"),
]

PRESS = """
(async () => {
  for (const one of document.querySelectorAll('details > summary, .toggle-nav-sidebar, .theme-toggle, h2.collapse'))
    one.click();
  const search = document.querySelector('#nav-filter');
  if (search) { search.value = 'end'; search.dispatchEvent(new Event('keyup')); }
  for (const box of document.querySelectorAll('input.action-select, #action-toggle')) box.click();
  await new Promise(done => setTimeout(done, 30));
})()
"""
# What people press that scripts answer.


@pytest.fixture
def session(transactional_db: None) -> str:
    client = Client()
    client.force_login(User.objects.create_superuser("admin"))
    return client.cookies["sessionid"].value


@pytest.fixture
def objects(session: str) -> dict[str, Any]:
    """A row of each model that has pages, by the names of those pages."""
    from subscriptions.models import AuditEntry, MessageTemplate, ProviderKey, SigningSecret, WireProfile

    alice = make_person("Alice")
    event_type = make_type("invoice.paid", schema={"type": "object"}, example={"a": 1})
    post = alice.api.post
    post("/endpoints", {"url": URL, "profile": "paysera", "auth": {"type": "bearer", "token": "t"}})
    post("/endpoints", {"url": URL})
    Endpoint.objects.filter(profile="default").update(unreadable_since=NOW)
    post("/rules", {"recipients": [{"url": URL}]})
    account, _ = merchants.put_account(merchant=alice.merchant, reference="A", now=NOW, actor="system")
    message_templates.create(data={"channel": "sms", "body": "b"}, now=NOW, actor="system")
    definition = {"body": {"kind": "raw"}, "signatures": []}
    profiles.create(data={"name": "our-own", "definition": definition}, now=NOW, actor="system")
    publish("invoice.paid", {"a": "<script>alert(1)</script><style>*{color:red}</style>"}, merchant="alice")
    delivery = Delivery.objects.all()[0]
    Attempt.objects.create(
        delivery_id=delivery.id, number=1, trigger="event", is_counted=True, reason="delivered", url=URL,
        request_headers="X: <img src=x onerror=alert(1)>", response_status=200, started_at=NOW,
        response_body=b"<html><script>alert(1)</script><body onload=alert(1) style='color:red'>hello</body></html>",
    )  # fmt: skip
    rows: list[Any] = [account, event_type, alice.merchant, alice.merchant.api_keys.get(), delivery]
    rows += [Endpoint.objects.filter(profile="default")[0], Attempt.objects.get(), User.objects.get()]
    rows += [model._default_manager.all()[0] for model in (AuditEntry, MessageTemplate, ProviderKey, SigningSecret)]
    rows += [WireProfile.objects.get()]
    return {f"{row._meta.app_label}_{row._meta.model_name}": row.pk for row in rows}


def addresses(objects: dict[str, Any]) -> list[str]:
    """Every page of the admin that can be opened, those of one object with an object."""
    found = []
    for route in every_route():
        name = route.view_name.removeprefix("admin:")
        if name == route.view_name or name in {"logout", "jsi18n", "view_on_site", "autocomplete", "app_list"}:
            continue
        page, _, kind = name.rpartition("_")
        if "<" not in route.path:
            found.append(reverse(route.view_name))
        elif page in objects and kind in {"change", "delete", "history"}:
            found.append(reverse(route.view_name, args=[objects[page]]))
    return [
        *found,
        "/admin/auth/",
        "/admin/subscriptions/",
        "/admin/nothing/",
        "/api/docs/",
        "/confirm/none",
        "/u/none",
    ]


def test_no_page_breaks_its_own_policy(live_server: Any, session: str, objects: dict[str, Any]) -> None:
    pages = [f"{live_server.url}{address}" for address in addresses(objects)]
    assert len(pages) > 60
    seen = browser.look_at(pages, cookies={"sessionid": session}, script=PRESS)
    assert [page for page in seen if page.complaints] == []
    assert all(page.title for page in seen)


def test_the_login_and_what_it_says_when_it_is_slow(live_server: Any) -> None:
    (page,) = browser.look_at([f"{live_server.url}/admin/login/"], cookies={}, script=PRESS)
    assert (page.title, page.complaints) == ("Log in | Signet", [])


def test_the_browser_would_say_so(live_server: Any, session: str) -> None:
    """Otherwise the tests above would say nothing."""
    inline = """
    (async () => {
      const bad = document.createElement('script'); bad.textContent = 'window.wasRun = 1'; document.body.append(bad);
      document.body.insertAdjacentHTML('beforeend', '<p style="color:red">x</p><img src="https://elsewhere.example/x">');
      if (window.wasRun) document.title = 'it ran';
    })()
    """
    (page,) = browser.look_at([f"{live_server.url}/admin/"], cookies={"sessionid": session}, script=inline)
    told = " ".join(page.complaints)
    assert "script-src" in told
    assert "style-src" in told
    assert "img-src" in told
    assert page.title != "it ran"
