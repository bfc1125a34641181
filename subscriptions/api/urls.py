"""Routes of this app, below /api/v2/ and /.well-known/."""

from django.urls import path

from subscriptions.api import (
    key_views,
    merchant_views,
    portal_views,
    profile_views,
    provider_views,
    rule_views,
    template_views,
    verification_views,
)

urlpatterns = [
    path("webhooks/config", merchant_views.ConfigView.as_view()),
    path("webhooks/endpoints", merchant_views.EndpointsView.as_view()),
    path("webhooks/endpoints/<str:endpoint>", merchant_views.EndpointView.as_view()),
    path("webhooks/endpoints/<str:endpoint>/secret", merchant_views.SecretView.as_view()),
    path("webhooks/endpoints/<str:endpoint>/secret/rotate", merchant_views.RotateView.as_view()),
    path("webhooks/endpoints/<str:endpoint>/verification", verification_views.VerificationView.as_view()),
    path("webhooks/endpoints/<str:endpoint>/verification/confirm", verification_views.ConfirmationView.as_view()),
    path("webhooks/rules", rule_views.RulesView.as_view()),
    path("webhooks/rules/<str:rule>", rule_views.RuleView.as_view()),
    path("webhooks/keys", key_views.KeysView.as_view()),
    path("webhooks/profiles", profile_views.ProfilesView.as_view()),
    path("webhooks/event-types", merchant_views.EventTypesView.as_view()),
    path("webhooks/event-types/<str:name>", merchant_views.EventTypeView.as_view()),
    path("merchants", provider_views.MerchantsView.as_view()),
    path("merchants/<str:merchant>", provider_views.MerchantDetailView.as_view()),
    # A reference is the provider's own and may hold a slash.
    path("merchants/<str:merchant>/accounts/<path:reference>", provider_views.AccountView.as_view()),
    path("merchants/<str:merchant>/api-keys", provider_views.KeysView.as_view()),
    path("merchants/<str:merchant>/api-keys/<str:key>", provider_views.KeyView.as_view()),
    path("merchants/<str:merchant>/portal-links", portal_views.PortalLinksView.as_view()),
    path("merchants/<str:merchant>/members", portal_views.MembersView.as_view()),
    path("merchants/<str:merchant>/members/<str:member>", portal_views.MemberView.as_view()),
    path("event-types", provider_views.CatalogueView.as_view()),
    path("event-types/<str:name>", provider_views.CatalogueEntryView.as_view()),
    path("message-templates", template_views.TemplatesView.as_view()),
    path("message-templates/<str:template>", template_views.TemplateView.as_view()),
]

well_known = [
    path("webhook-keys", key_views.key_set),
    path("webhook-keys/<str:name>.<str:part>", key_views.key_file, name="provider-key-file"),
]
