"""Where everything is. The apps bring their own routes."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("api/v2/", include("subscriptions.api.urls")),
    path("api/v2/", include("deliveries.api.urls")),
    path("admin/", admin.site.urls),
]
