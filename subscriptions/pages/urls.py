"""Links that stand in e-mails and SMS. Short, as every character of an SMS counts."""

from django.urls import path

from subscriptions.pages import views

urlpatterns = [
    path("u/<str:token>", views.unsubscribe),
    path("confirm/<str:token>", views.confirm),
]
