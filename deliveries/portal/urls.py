"""Where the portal shows what was delivered."""

from django.urls import path

from deliveries.portal import delivery, endpoint, endpoints, exports, log, overview, replays, trials

urlpatterns = [
    path("<str:merchant>/", overview.overview, name="portal-overview"),
    path("<str:merchant>/endpoints/", endpoints.endpoint_list, name="portal-endpoints"),
    path("<str:merchant>/endpoints/<str:endpoint>/", endpoint.endpoint, name="portal-endpoint"),
    path("<str:merchant>/endpoints/<str:endpoint>/delete", endpoint.delete, name="portal-endpoint-delete"),
    path("<str:merchant>/endpoints/<str:endpoint>/connectivity", trials.connect, name="portal-endpoint-connectivity"),
    path("<str:merchant>/endpoints/<str:endpoint>/sample", trials.sample, name="portal-endpoint-sample"),
    path("<str:merchant>/endpoints/<str:endpoint>/test", trials.send, name="portal-endpoint-test"),
    path("<str:merchant>/endpoints/<str:endpoint>/again", replays.begin, name="portal-endpoint-again"),
    path("<str:merchant>/replays/<str:replay>", replays.progress, name="portal-replay"),
    path("<str:merchant>/exports/", exports.export_list, name="portal-exports"),
    path("<str:merchant>/exports/<str:export>/", exports.progress, name="portal-export"),
    path("<str:merchant>/exports/<str:export>/file", exports.download, name="portal-export-file"),
    path("<str:merchant>/exports/<str:export>/delete", exports.delete, name="portal-export-delete"),
    path("<str:merchant>/log/", log.log, name="portal-log"),
    path("<str:merchant>/log/resend", log.resend_picked, name="portal-log-resend"),
    path("<str:merchant>/log/<str:delivery>/", delivery.delivery, name="portal-delivery"),
    path("<str:merchant>/log/<str:delivery>/resend", delivery.resend, name="portal-delivery-resend"),
    path("<str:merchant>/log/<str:delivery>/<int:number>", delivery.attempt, name="portal-attempt"),
]
