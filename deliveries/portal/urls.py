"""Where the portal shows what was delivered."""

from django.urls import path

from subscriptions.portal import soon

urlpatterns = [
    path("<str:merchant>/", soon.soon, name="portal-overview"),
    path("<str:merchant>/endpoints/", soon.soon, name="portal-endpoints"),
    path("<str:merchant>/endpoints/<str:endpoint>/", soon.soon, name="portal-endpoint"),
    path("<str:merchant>/log/", soon.soon, name="portal-log"),
    path("<str:merchant>/log/<str:delivery>/", soon.soon, name="portal-delivery"),
]
