"""The portal's own addresses: the way in, and what a merchant sets up."""

from django.urls import path

from subscriptions.portal import soon

urlpatterns = [
    path("", soon.chooser, name="portal"),
    path("login/", soon.chooser, name="portal-login"),
    path("logout/", soon.chooser, name="portal-logout"),
    path("<str:merchant>/endpoints/new", soon.soon, name="portal-endpoint-new"),
    path("<str:merchant>/catalogue/", soon.soon, name="portal-catalogue"),
    path("<str:merchant>/keys/", soon.soon, name="portal-keys"),
    path("<str:merchant>/team/", soon.soon, name="portal-team"),
    path("<str:merchant>/audit/", soon.soon, name="portal-audit"),
]
