"""The portal's own addresses: the way in, and what a merchant sets up."""

from django.urls import path

from subscriptions.portal import endpoints, soon

urlpatterns = [
    path("", soon.chooser, name="portal"),
    path("login/", soon.chooser, name="portal-login"),
    path("logout/", soon.chooser, name="portal-logout"),
    path("<str:merchant>/endpoints/new", endpoints.create, name="portal-endpoint-new"),
    path("<str:merchant>/endpoints/check", endpoints.check, name="portal-endpoint-check"),
    path("<str:merchant>/endpoints/<str:endpoint>/edit", endpoints.edit, name="portal-endpoint-edit"),
    path("<str:merchant>/endpoints/<str:endpoint>/pause", endpoints.pause, name="portal-endpoint-pause"),
    path("<str:merchant>/endpoints/<str:endpoint>/enable", endpoints.enable, name="portal-endpoint-enable"),
    path("<str:merchant>/endpoints/<str:endpoint>/secret", endpoints.secret, name="portal-endpoint-secret"),
    path("<str:merchant>/endpoints/<str:endpoint>/rotate", endpoints.rotate, name="portal-endpoint-rotate"),
    path("<str:merchant>/endpoints/<str:endpoint>/confirm", endpoints.confirm, name="portal-endpoint-confirm"),
    path("<str:merchant>/catalogue/", soon.soon, name="portal-catalogue"),
    path("<str:merchant>/keys/", soon.soon, name="portal-keys"),
    path("<str:merchant>/team/", soon.soon, name="portal-team"),
    path("<str:merchant>/audit/", soon.soon, name="portal-audit"),
]
