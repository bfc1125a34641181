"""Routes of this app, below /api/v2/."""

from django.urls import path

from deliveries.api import (
    connectivity_views,
    export_views,
    expunge_views,
    log_views,
    publish_views,
    replay_views,
    stats_views,
    trial_views,
)
from deliveries.models import Replay

urlpatterns = [
    path("events", publish_views.PublishView.as_view()),
    path("events/batch", publish_views.PublishBatchView.as_view()),
    # A provider's own id may hold a slash, here and below.
    path("events/<path:event>/expunge", expunge_views.ExpungeEventView.as_view()),
    path("merchants/<str:merchant>/expunge", expunge_views.ExpungeAccountView.as_view()),
    path("expunges", expunge_views.ExpungesView.as_view()),
    path("expunges/<str:expunge>", expunge_views.ExpungeView.as_view()),
    path("webhooks/events", log_views.EventsView.as_view()),
    path("webhooks/events/<path:event>/resend", log_views.ResendView.as_view()),
    path("webhooks/events/<path:event>", log_views.EventView.as_view()),
    path("webhooks/endpoints/<str:endpoint>/recover", replay_views.BeginView.as_view(kind=Replay.Kind.RECOVER)),
    path("webhooks/endpoints/<str:endpoint>/replay-missing", replay_views.BeginView.as_view(kind=Replay.Kind.MISSING)),
    path("webhooks/endpoints/<str:endpoint>/release", replay_views.BeginView.as_view(kind=Replay.Kind.RELEASE)),
    path("webhooks/replays", replay_views.ReplaysView.as_view()),
    path("webhooks/replays/<str:replay>", replay_views.ReplayView.as_view()),
    path("webhooks/replays/<str:replay>/stop", replay_views.StopView.as_view()),
    path("webhooks/exports", export_views.ExportsView.as_view()),
    path("webhooks/exports/<str:export>", export_views.ExportView.as_view()),
    path("webhooks/exports/<str:export>/file", export_views.ExportFileView.as_view()),
    path("webhooks/endpoints/<str:endpoint>/test", trial_views.TrialView.as_view()),
    path("webhooks/endpoints/<str:endpoint>/stats", stats_views.EndpointStatsView.as_view()),
    path("webhooks/stats", stats_views.StatsView.as_view()),
    path("webhooks/endpoints/<str:endpoint>/connectivity", connectivity_views.ConnectivityView.as_view()),
]
