"""The catalogue of event types: what can happen, what is told of it, and which endpoints hear it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db.models import Q
from django.http import HttpResponse

from subscriptions.models import Endpoint, EventType
from subscriptions.operational import is_reserved
from subscriptions.portal import endpoint_form, schema_tree
from subscriptions.portal.doors import PortalRequest, page, show
from subscriptions.portal.typed import read_text
from subscriptions.selectors import endpoints, event_types, samples
from subscriptions.selectors.subscribed import hears

MOST_TYPES = 500
# On one page. Who has more finds them by the search.


@dataclass(frozen=True, slots=True)
class Row:
    """One type of the list, and how many of the merchant's endpoints hear it."""

    type: EventType
    hearing: int


@page()
def type_list(request: PortalRequest) -> HttpResponse:
    """`/portal/<merchant>/catalogue/`, narrowed by `q`: a part of a name, group or description."""
    text = read_text(request.GET, "q")
    rows = event_types.on_offer().defer("schema", "example")
    if text:
        rows = rows.filter(Q(name__icontains=text) | Q(group__icontains=text) | Q(description__icontains=text))
    found = list(rows.order_by("name")[: MOST_TYPES + 1])
    living = list(endpoints.living(request.visitor.merchant))
    shown = {
        "section": "catalogue",
        "groups": _groups(found[:MOST_TYPES], living),
        "text": text,
        "has_more": len(found) > MOST_TYPES,
        "has_endpoints": bool(living),
    }
    return show(request, "portal/catalogue/list.html", shown)


@page()
def event_type(request: PortalRequest, name: str) -> HttpResponse:
    """`/portal/<merchant>/catalogue/<type>/`; an archived type is not there."""
    found = event_types.get_on_offer(name)
    living = list(endpoints.living(request.visitor.merchant).order_by("id"))
    sample = samples.sample_of(found)
    shown = {
        "section": "catalogue",
        "type": found,
        "tree": schema_tree.read(found.schema) if found.schema is not None else None,
        "sample": sample,
        "is_real": sample.source == samples.Source.EXAMPLE,
        "hearing": [endpoint for endpoint in living if hears(endpoint, found.name)],
        "has_endpoints": bool(living),
        "is_all": not is_reserved(found.name),
    }
    return show(request, "portal/catalogue/type.html", shown)


def _groups(found: Sequence[EventType], living: Sequence[Endpoint]) -> Mapping[str, list[Row]]:
    return {
        group.name: [Row(one, sum(hears(endpoint, one.name) for endpoint in living)) for one in group.types]
        for group in endpoint_form.groups(found)
    }
