"""Routes of this app, below /api/v2/."""

from django.urls import path

from deliveries.api import log_views, publish_views, trial_views

urlpatterns = [
    path("events", publish_views.PublishView.as_view()),
    path("events/batch", publish_views.PublishBatchView.as_view()),
    path("webhooks/events", log_views.EventsView.as_view()),
    # A provider's own id may hold a slash.
    path("webhooks/events/<path:event>/resend", log_views.ResendView.as_view()),
    path("webhooks/events/<path:event>", log_views.EventView.as_view()),
    path("webhooks/endpoints/<str:endpoint>/test", trial_views.TrialView.as_view()),
]
