"""Passwords: chosen anew by whoever forgot one, by a link that was mailed, and changed by whoever knows it."""

from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash, views
from django.contrib.auth.forms import PasswordChangeForm, PasswordResetForm, SetPasswordForm
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse, reverse_lazy
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from subscriptions.services import audit, bell
from subscriptions.services.endpoint_channels import missing

DAY_S = 86_400
TARGET_LENGTH = 64
# The audit log's column.


class ForgottenForm(PasswordResetForm):
    """The mail goes out by a worker, to an address of ours in it: the answer takes the same time for every address, and
    no forged Host header gets into a link."""

    def save(self, *_: Any, **__: Any) -> None:
        users = self.get_users(self.cleaned_data["email"])
        bell.ring_for_password_links(user.pk for user in users)


class Forgotten(views.PasswordResetView):
    """`/portal/password/`: the same answer, whether or not somebody has the address."""

    form_class = ForgottenForm
    template_name = "portal/sign_in/forgotten.html"
    success_url = reverse_lazy("portal-password-sent")

    def dispatch(self, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Without mail there is nothing to do here: the login page says whom to ask."""
        return redirect("portal-login") if missing("email") else super().dispatch(*args, **kwargs)


def sent(request: HttpRequest) -> HttpResponse:
    """`/portal/password/sent`"""
    return render(request, "portal/sign_in/sent.html", {"days": settings.PASSWORD_RESET_TIMEOUT // DAY_S})


class Choose(views.PasswordResetConfirmView):
    """`/portal/password/<user>/<token>/`: Django takes the token out of the address before anything is shown."""

    template_name = "portal/sign_in/choose.html"
    success_url = reverse_lazy("portal")
    post_reset_login = True

    def form_valid(self, form: "SetPasswordForm[User]") -> HttpResponse:
        response = super().form_valid(form)
        _note(form.user)
        messages.success(self.request, "Your new password is set.")
        return response


@sensitive_post_parameters()
@csrf_protect
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def account(request: HttpRequest) -> HttpResponse:
    """`/portal/account/`: who I am here, and another password; whoever else is logged in with the old one is not any
    more."""
    if not isinstance(request.user, User):
        return redirect(f"{reverse('portal-login')}?{urlencode({'next': request.path})}")
    form = PasswordChangeForm(request.user, request.POST if request.method == "POST" else None)
    if not form.is_valid():
        return render(request, "portal/sign_in/account.html", {"form": form}, status=422 if form.is_bound else 200)
    update_session_auth_hash(request, form.save())
    _note(request.user)
    messages.success(request, "Your password is changed. Other browsers are signed out.")
    return redirect("portal-account")


def _note(user: User) -> None:
    actor = f"user:{user.get_username()}"
    audit.note(actor=actor, action="user.password_changed", target=actor[:TARGET_LENGTH], now=timezone.now())
