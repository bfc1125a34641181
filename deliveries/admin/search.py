"""The search over everything: by any id, and by the words that providers and merchants know things by.

Each kind of thing is one question to an index, or to a table that stays small; nothing looks through the log.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.safestring import SafeString

from deliveries.admin.bounded import bounded
from deliveries.models import Attempt, Delivery, Event, Export, Expunge, Replay
from dispatcher.ids import Prefix, show
from subscriptions.admin.columns import PAGES, clipped, code, moment, read_id
from subscriptions.models import (
    Account,
    ApiKey,
    AuditEntry,
    Endpoint,
    EventType,
    Membership,
    Merchant,
    MessageTemplate,
    ProviderKey,
    Rule,
    SigningSecret,
)

HITS_MOST = 20
# Of each kind. Who gets more than these knows too little of what is looked for.
TERM_LENGTH = 2048
# As long as a URL may be.

MODELS: dict[Prefix, type[Model]] = {
    Prefix.EVENT: Event,
    Prefix.DELIVERY: Delivery,
    Prefix.ATTEMPT: Attempt,
    Prefix.REPLAY: Replay,
    Prefix.EXPUNGE: Expunge,
    Prefix.EXPORT: Export,
    Prefix.ENDPOINT: Endpoint,
    Prefix.MERCHANT: Merchant,
    Prefix.ACCOUNT: Account,
    Prefix.API_KEY: ApiKey,
    Prefix.EVENT_TYPE: EventType,
    Prefix.RULE: Rule,
    Prefix.SECRET: SigningSecret,
    Prefix.PROVIDER_KEY: ProviderKey,
    Prefix.MESSAGE_TEMPLATE: MessageTemplate,
    Prefix.MEMBERSHIP: Membership,
    Prefix.AUDIT: AuditEntry,
}


@dataclass(frozen=True, slots=True)
class Hit:
    """Something that was found: where its page is, what to call it, and a word that tells it from the others."""

    address: str
    name: SafeString
    note: SafeString | str


@dataclass(frozen=True, slots=True)
class Found:
    """The hits of one kind. `has_more`: there are others, which are not shown."""

    kind: str
    hits: list[Hit]
    has_more: bool


Kind = Callable[[str], Iterable[Hit]]


def page(request: HttpRequest) -> HttpResponse:
    """One hit goes straight to its page. 403 for staff who may view nothing that can be found."""
    kinds = {name: kind for (name, model), kind in KINDS.items() if may_view(request, model)}
    if not kinds and not any(may_view(request, model) for model in MODELS.values()):
        raise PermissionDenied
    term = request.GET.get("q", "").strip()[:TERM_LENGTH].replace("\x00", "")
    found, is_too_slow = _find(request, term, kinds)
    if sum(len(one.hits) for one in found) == 1:
        return HttpResponseRedirect(found[0].hits[0].address)
    shown = {"title": "Search", "term": term, "found": found, "is_too_slow": is_too_slow, "most": HITS_MOST}
    return TemplateResponse(request, "deliveries/admin/search.html", admin.site.each_context(request) | shown)


def may_view(request: HttpRequest, model: type[Model]) -> bool:
    """Whether somebody may see such things; to be allowed to change them is enough."""
    options = model._meta
    names = (f"{options.app_label}.{verb}_{options.model_name}" for verb in ("view", "change"))
    return any(request.user.has_perm(name) for name in names)


def _find(request: HttpRequest, term: str, kinds: dict[str, Kind]) -> tuple[list[Found], bool]:
    """What was found, and whether a kind took too long to look through."""
    if not term:
        return [], False
    match read_id(term):
        case (prefix, row_id) if hit := _by_id(request, prefix, row_id, term):
            return [Found("Id", [hit], has_more=False)], False
    is_too_slow, found = False, []
    for name, kind in kinds.items():
        hits: list[Hit] | None = bounded(partial(list, kind(term)))
        if hits is None:
            is_too_slow = True
        elif hits:
            found.append(Found(name, hits[:HITS_MOST], has_more=len(hits) > HITS_MOST))
    return found, is_too_slow


def _by_id(request: HttpRequest, prefix: Prefix, row_id: UUID, term: str) -> Hit | None:
    model = MODELS.get(prefix)
    if model is None or not may_view(request, model) or not QuerySet(model).filter(pk=row_id).exists():
        return None
    return _hit(prefix, row_id, code(term))


def _hit(prefix: Prefix, row_id: UUID, name: SafeString, note: SafeString | str = "") -> Hit:
    return Hit(reverse(f"admin:{PAGES[prefix]}_change", args=[row_id]), name, note)


def _events(term: str) -> Iterator[Hit]:
    """The provider's own id, exactly."""
    rows = Event.objects.filter(external_id=term).order_by("-id").values_list("id", "type", "created_at")
    for row_id, kind, created_at in rows[: HITS_MOST + 1]:
        yield _hit(
            Prefix.EVENT, row_id, code(show(Prefix.EVENT, row_id)), SafeString(f"{clipped(kind)} {moment(created_at)}")
        )


def _merchants(term: str) -> Iterator[Hit]:
    """The exact reference, or a part of the name."""
    rows = Merchant.objects.filter(Q(reference=term) | Q(name__icontains=term)).order_by("deleted_at", "name", "id")
    for row_id, name, reference, deleted_at in rows.values_list("id", "name", "reference", "deleted_at")[
        : HITS_MOST + 1
    ]:
        yield _hit(Prefix.MERCHANT, row_id, clipped(name), "Deleted" if deleted_at else clipped(reference or ""))


def _accounts(term: str) -> Iterator[Hit]:
    """The exact reference."""
    for row_id, reference, merchant in Account.objects.filter(reference=term).values_list(
        "id", "reference", "merchant__name"
    ):
        yield _hit(Prefix.ACCOUNT, row_id, clipped(reference), clipped(merchant))


def _endpoints(term: str) -> Iterator[Hit]:
    """A part of the URL, the address or the number; living ones first."""
    rows = Endpoint.objects.filter(target__icontains=term).order_by("-is_active", "-id")
    columns = ("id", "target", "owner__name", "is_active", "deleted_at")
    for row_id, target, owner, is_active, deleted_at in rows.values_list(*columns)[: HITS_MOST + 1]:
        state = "" if is_active else "deleted, " if deleted_at else "disabled, "
        yield _hit(Prefix.ENDPOINT, row_id, clipped(target), clipped(state + owner))


def _keys(term: str) -> Iterator[Hit]:
    """The part of a key that is shown, exactly."""
    for row_id, name, prefix in ApiKey.objects.filter(prefix=term).values_list("id", "name", "prefix"):
        yield _hit(Prefix.API_KEY, row_id, clipped(name), code(prefix))


def _types(term: str) -> Iterator[Hit]:
    """A part of the name."""
    rows = EventType.objects.filter(name__icontains=term).order_by("name").values_list("id", "name", "archived")
    for row_id, name, archived in rows[: HITS_MOST + 1]:
        yield _hit(Prefix.EVENT_TYPE, row_id, code(name), "Archived" if archived else "")


KINDS: dict[tuple[str, type[Model]], Kind] = {
    ("Events", Event): _events,
    ("Merchants", Merchant): _merchants,
    ("Endpoints", Endpoint): _endpoints,
    ("Accounts", Account): _accounts,
    ("API keys", ApiKey): _keys,
    ("Event types", EventType): _types,
}
