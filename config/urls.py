"""Where everything is. The apps bring their own routes."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

urlpatterns = [
    path("api/v2/", include("subscriptions.api.urls")),
    path("api/v2/", include("deliveries.api.urls")),
    path("admin", RedirectView.as_view(url="/admin/")),
    path("admin/", admin.site.urls),
    path("", RedirectView.as_view(url="/admin/")),
]
