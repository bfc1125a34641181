"""Where everything is. The apps bring their own routes."""

from django.contrib import admin
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView

from config.api import docs_views
from subscriptions.api.urls import well_known

handler404 = "config.api.problems.not_found"

urlpatterns = [
    path("api/v2/", include("subscriptions.api.urls")),
    path("api/v2/", include("deliveries.api.urls")),
    path("api/schema/", docs_views.schema),
    path("api/docs/", docs_views.docs),
    path("paisr/v1/", include("deliveries.paisr.urls")),
    path(".well-known/", include(well_known)),
    path("admin", RedirectView.as_view(url="/admin/")),
    path("admin/", admin.site.urls),
    path("portal", RedirectView.as_view(url="/portal/")),
    path("portal/", include("subscriptions.portal.urls")),
    path("portal/", include("deliveries.portal.urls")),
    path("", include("subscriptions.pages.urls")),
    path("favicon.ico", RedirectView.as_view(url=static("portal/mark.svg"))),
    path("", RedirectView.as_view(url="/portal/")),
]
