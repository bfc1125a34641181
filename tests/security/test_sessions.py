"""A dump of the database opens nobody's session."""

from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client


def test_the_row_does_not_hold_the_key(db: None) -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("admin"))
    key = client.cookies["sessionid"].value
    row = Session.objects.get()
    assert client.get("/admin/").status_code == 200
    assert key not in (row.session_key, row.session_data)
    thief = Client()
    thief.cookies["sessionid"] = row.session_key
    assert thief.get("/admin/").status_code == 302


def test_a_logout_ends_it(db: None) -> None:
    User.objects.create_superuser("admin", password="right")
    client = Client()
    client.post("/admin/login/", {"username": "admin", "password": "right", "next": "/admin/"})
    stolen = Client()
    stolen.cookies["sessionid"] = client.cookies["sessionid"].value
    assert stolen.get("/admin/").status_code == 200
    assert client.post("/admin/logout/").status_code == 200
    assert not Session.objects.exists()
    assert stolen.get("/admin/").status_code == 302


def test_a_key_that_was_never_given_opens_nothing(db: None) -> None:
    """Neither one that a thief put into somebody's browser before the login."""
    User.objects.create_superuser("admin", password="right")
    client = Client()
    client.cookies["sessionid"] = "chosen0by0a0thief000000000000000"
    assert client.get("/admin/").status_code == 302
    client.post("/admin/login/", {"username": "admin", "password": "right", "next": "/admin/"})
    assert client.cookies["sessionid"].value != "chosen0by0a0thief000000000000000"
    assert client.get("/admin/").status_code == 200
