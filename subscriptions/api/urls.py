"""Routes of this app, below /api/v2/."""

from django.urls import path

from subscriptions.api import merchant_views, provider_views

urlpatterns = [
    path("webhooks/config", merchant_views.ConfigView.as_view()),
    path("webhooks/endpoints", merchant_views.EndpointsView.as_view()),
    path("webhooks/endpoints/<str:endpoint>", merchant_views.EndpointView.as_view()),
    path("webhooks/endpoints/<str:endpoint>/secret", merchant_views.SecretView.as_view()),
    path("webhooks/endpoints/<str:endpoint>/secret/rotate", merchant_views.RotateView.as_view()),
    path("webhooks/event-types", merchant_views.EventTypesView.as_view()),
    path("merchants", provider_views.MerchantsView.as_view()),
    path("merchants/<str:merchant>", provider_views.MerchantDetailView.as_view()),
    # A reference is the provider's own and may hold a slash.
    path("merchants/<str:merchant>/accounts/<path:reference>", provider_views.AccountView.as_view()),
    path("merchants/<str:merchant>/api-keys", provider_views.KeysView.as_view()),
    path("merchants/<str:merchant>/api-keys/<str:key>", provider_views.KeyView.as_view()),
    path("event-types", provider_views.CatalogueView.as_view()),
    path("event-types/<str:name>", provider_views.CatalogueEntryView.as_view()),
]
