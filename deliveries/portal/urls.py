"""Where the portal shows what was delivered."""

from django.urls import path

from deliveries.portal import delivery, endpoints, log, overview
from subscriptions.portal import soon

urlpatterns = [
    path("<str:merchant>/", overview.overview, name="portal-overview"),
    path("<str:merchant>/endpoints/", endpoints.endpoint_list, name="portal-endpoints"),
    path("<str:merchant>/endpoints/<str:endpoint>/", soon.soon, name="portal-endpoint"),
    path("<str:merchant>/endpoints/<str:endpoint>/test", soon.soon, name="portal-endpoint-test"),
    path("<str:merchant>/log/", log.log, name="portal-log"),
    path("<str:merchant>/log/resend", log.resend_picked, name="portal-log-resend"),
    path("<str:merchant>/log/<str:delivery>/", delivery.delivery, name="portal-delivery"),
    path("<str:merchant>/log/<str:delivery>/resend", delivery.resend, name="portal-delivery-resend"),
    path("<str:merchant>/log/<str:delivery>/<int:number>", delivery.attempt, name="portal-attempt"),
]
