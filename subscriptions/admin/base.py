"""What all admin pages share: who may do what, the buttons, and that services do every write."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from dispatcher.ids import Prefix
from subscriptions.admin.columns import EMPTY, read_id
from subscriptions.errors import Refusal

M = TypeVar("M", bound=Model)

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin
else:

    class ModelAdmin(admin.ModelAdmin):
        """Takes a type parameter, which Django's own does for type checkers only."""

        def __class_getitem__(cls, _model: type[Model]) -> type["ModelAdmin"]:
            return cls


FROM_PAGE = "from_page"
# In the POST of a button on an object's page: the answer leads back there.


def actor_of(request: HttpRequest) -> str:
    return f"user:{request.user.get_username()}"


class SignetAdmin(ModelAdmin[M]):
    """Nothing is deleted in bulk, and nothing can be asked of a list but what it offers itself."""

    change_list_template = "subscriptions/admin/list.html"
    change_form_template = "subscriptions/admin/page.html"
    empty_value_display = EMPTY
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    search_fields = ("pk",)
    # Only so that there is a search box: `id_columns` and `search_text` say what a term means.
    id_columns: ClassVar[Mapping[Prefix, str]] = {}
    buttons: ClassVar[Sequence[str]] = ()
    # Those of the actions that stand on an object's own page too.

    class Media:
        css = {"all": ["subscriptions/admin.css"]}

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:  # noqa: ARG002
        """Only the filters that are on the page. Django would take any column, those that are never shown included."""
        for offered in self.get_list_filter(request):
            if isinstance(offered, str):
                if lookup in (f"{offered}__exact", f"{offered}__isnull"):
                    return True
            elif lookup == getattr(offered, "parameter_name", None):
                return True
        return False

    def get_search_results(
        self,
        request: HttpRequest,  # noqa: ARG002
        queryset: QuerySet[M],
        search_term: str,
    ) -> tuple[QuerySet[M], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        match read_id(term):
            case (prefix, row_id) if prefix in self.id_columns:
                return queryset.filter(**{self.id_columns[prefix]: row_id}), False
        return self.search_text(queryset, term), False

    def search_text(self, rows: QuerySet[M], term: str) -> QuerySet[M]:  # noqa: ARG002
        """What a term means that is no id."""
        return rows.none()

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """An action that somebody may not take is refused; Django would say that none was chosen."""
        asked = request.POST.get("action")
        if asked in (self.actions or ()) and asked not in self.get_actions(request):
            raise PermissionDenied
        title = {"title": capfirst(self.opts.verbose_name_plural)}
        return super().changelist_view(request, title | (extra_context or {}))

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,  # noqa: FBT001, FBT002 - Django's signature
        change: bool = False,  # noqa: FBT001, FBT002
        form_url: str = "",
        obj: M | None = None,
    ) -> HttpResponse:
        if obj is not None:
            context = context | {
                "page_links": [link for link in self.page_links(obj) if link],
                "page_buttons": self._page_buttons(request, obj),
                **self.page_parts(obj),
            }
        return super().render_change_form(request, context, add, change, form_url, obj)

    def page_links(self, obj: M) -> Iterable[SafeString | None]:  # noqa: ARG002 - for those that have some
        """What stands at the head of an object's page."""
        return ()

    def page_parts(self, obj: M) -> dict[str, Any]:  # noqa: ARG002
        """What the template of an object's page shows below its fields."""
        return {}

    def has_button(self, name: str, obj: M) -> bool:  # noqa: ARG002
        """Whether the action makes sense for this object as it is now."""
        return True

    def other_buttons(self, request: HttpRequest, obj: M) -> list[dict[str, str]]:  # noqa: ARG002
        """Those that are for one object only: the `address` that each posts to, and its `label`."""
        return []

    def _page_buttons(self, request: HttpRequest, obj: M) -> list[dict[str, str]]:
        allowed = self.get_actions(request)
        actions = [
            {"action": name, "label": str(allowed[name][2])}
            for name in self.buttons
            if name in allowed and self.has_button(name, obj)
        ]
        return [*actions, *self.other_buttons(request, obj)]

    def ticked(self, request: HttpRequest, rows: QuerySet[M]) -> QuerySet[M]:
        """What an action is for: never all that a filter finds on further pages, which nobody has looked at."""
        return rows.filter(pk__in=request.POST.getlist(ACTION_CHECKBOX_NAME))

    def after_action(self, request: HttpRequest) -> HttpResponse | None:
        """Back to the page whose button was pressed; None leaves the list where it is."""
        selected = request.POST.getlist(ACTION_CHECKBOX_NAME)
        if FROM_PAGE not in request.POST or len(selected) != 1:
            return None
        return HttpResponseRedirect(reverse(f"admin:{_page_of(self)}_change", args=selected))

    def do_each(self, request: HttpRequest, rows: Iterable[M], do: Callable[[M], object], *, done: str) -> None:
        """Calls a service for each row and tells what came of it; one refusal does not stop the others."""
        count = 0
        for row in rows:
            try:
                do(row)
                count += 1
            except Refusal as refusal:
                self.message_user(request, f"{row}: {refusal.detail}", messages.ERROR)
        if count:
            self.message_user(request, f"{count} {done}.", messages.SUCCESS)


class ReadOnlyAdmin(SignetAdmin[M]):
    """Nobody adds, changes or deletes here, superusers included."""

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002
        return False

    def has_change_permission(self, request: HttpRequest, obj: M | None = None) -> bool:  # noqa: ARG002
        return False

    def has_delete_permission(self, request: HttpRequest, obj: M | None = None) -> bool:  # noqa: ARG002
        return False


class ServiceAdmin(SignetAdmin[M]):
    """Services do every write: the form when it is validated (see ServiceForm), `remove` for a deletion."""

    delete_confirmation_template = "subscriptions/admin/delete.html"

    def get_form(self, request: HttpRequest, obj: M | None = None, change: bool = False, **kwargs: Any) -> Any:  # noqa: FBT001, FBT002
        """The form's class is made anew for each request, so it may carry who asks and when."""
        form: Any = super().get_form(request, obj, change, **kwargs)
        form.actor, form.now = actor_of(request), timezone.now()
        return form

    def save_model(self, request: HttpRequest, obj: M, form: Any, change: bool) -> None:  # noqa: FBT001
        """The form's service has written it."""

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        try:
            return super().delete_view(request, object_id, extra_context)
        except Refusal as refusal:
            self.message_user(request, refusal.detail, messages.ERROR)
            return HttpResponseRedirect(reverse(f"admin:{_page_of(self)}_change", args=[object_id]))

    def delete_model(self, request: HttpRequest, obj: M) -> None:
        self.remove(obj, actor=actor_of(request), now=timezone.now())

    def remove(self, obj: M, *, actor: str, now: datetime) -> None:
        """Call the service that deletes."""
        raise NotImplementedError

    def consequences(self, obj: M) -> list[str]:  # noqa: ARG002
        """What a deletion does, in sentences."""
        return []

    def get_deleted_objects(
        self,
        objs: QuerySet[M] | Sequence[M],
        request: HttpRequest,  # noqa: ARG002
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """Services delete otherwise than Django's cascade, so theirs is what is told."""
        return [sentence for obj in objs for sentence in self.consequences(obj)], {}, set(), []


def ask(
    model_admin: SignetAdmin[M], request: HttpRequest, rows: QuerySet[M], *, action: str, title: str, **context: Any
) -> TemplateResponse:
    """The page between an action and its doing: what is asked, for which objects, and back to the same action."""
    shown = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "media": model_admin.media,
        "title": title,
        "action": action,
        "rows": rows,
        "from_page": FROM_PAGE in request.POST,
    }
    return TemplateResponse(request, "subscriptions/admin/ask.html", shown | context)


def _page_of(model_admin: ModelAdmin[Any]) -> str:
    return f"{model_admin.opts.app_label}_{model_admin.opts.model_name}"
