"""The portal's own addresses: the way in, and what a merchant sets up."""

from django.urls import path

from subscriptions.portal import audit, catalogue, endpoints, keys, links, passwords, sign_in, team

urlpatterns = [
    path("", sign_in.chooser, name="portal"),
    path("login/", sign_in.sign_in, name="portal-login"),
    path("logout/", sign_in.sign_out, name="portal-logout"),
    path("account/", passwords.account, name="portal-account"),
    path("password/", passwords.Forgotten.as_view(), name="portal-password"),
    path("password/sent", passwords.sent, name="portal-password-sent"),
    path("password/<str:uidb64>/<str:token>/", passwords.Choose.as_view(), name="portal-password-choose"),
    path("enter/<str:token>", links.enter, name="portal-enter"),
    path("<str:merchant>/endpoints/new", endpoints.create, name="portal-endpoint-new"),
    path("<str:merchant>/endpoints/check", endpoints.check, name="portal-endpoint-check"),
    path("<str:merchant>/endpoints/<str:endpoint>/edit", endpoints.edit, name="portal-endpoint-edit"),
    path("<str:merchant>/endpoints/<str:endpoint>/pause", endpoints.pause, name="portal-endpoint-pause"),
    path("<str:merchant>/endpoints/<str:endpoint>/enable", endpoints.enable, name="portal-endpoint-enable"),
    path("<str:merchant>/endpoints/<str:endpoint>/secret", endpoints.secret, name="portal-endpoint-secret"),
    path("<str:merchant>/endpoints/<str:endpoint>/rotate", endpoints.rotate, name="portal-endpoint-rotate"),
    path("<str:merchant>/endpoints/<str:endpoint>/confirm", endpoints.confirm, name="portal-endpoint-confirm"),
    path("<str:merchant>/catalogue/", catalogue.type_list, name="portal-catalogue"),
    path("<str:merchant>/catalogue/<str:name>/", catalogue.event_type, name="portal-type"),
    path("<str:merchant>/keys/", keys.key_list, name="portal-keys"),
    path("<str:merchant>/keys/new", keys.create, name="portal-key-new"),
    path("<str:merchant>/keys/<str:key>/revoke", keys.revoke, name="portal-key-revoke"),
    path("<str:merchant>/team/", team.team, name="portal-team"),
    path("<str:merchant>/team/<str:member>/role", team.change, name="portal-member-role"),
    path("<str:merchant>/team/<str:member>/remove", team.remove, name="portal-member-remove"),
    path("<str:merchant>/team/<str:member>/invite", team.invite, name="portal-member-invite"),
    path("<str:merchant>/audit/", audit.log, name="portal-audit"),
]
