"""Routes of Paisr's API, below /paisr/v1/."""

from django.urls import path

from deliveries.paisr import views

urlpatterns = [
    path("webhooks", views.WebhooksView.as_view()),
    path("webhooks/<str:webhook>", views.WebhookDetailView.as_view()),
    path("webhooks/<str:webhook>/rotate-secret", views.RotateView.as_view()),
    path("webhooks/<str:webhook>/events", views.EventsView.as_view()),
    path("webhooks/<str:webhook>/stats", views.StatsView.as_view()),
    # A provider's own id may hold a slash.
    path("webhooks/<str:webhook>/events/<path:event>/retry", views.RetryView.as_view()),
]
