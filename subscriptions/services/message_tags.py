"""The tags and filters that a provider's texts may use. Nothing here reads a file, loads code, or turns HTML safe."""

from django import template
from django.template import defaultfilters, defaulttags

register = template.Library()

for _name, _tag in {
    "comment": defaulttags.comment,
    "cycle": defaulttags.cycle,
    "firstof": defaulttags.firstof,
    "for": defaulttags.do_for,
    "if": defaulttags.do_if,
    "ifchanged": defaulttags.ifchanged,
    "verbatim": defaulttags.verbatim,
    "with": defaulttags.do_with,
}.items():
    register.tag(_name, _tag)

for _filter in (
    *(defaultfilters.capfirst, defaultfilters.cut, defaultfilters.date, defaultfilters.default),
    *(defaultfilters.default_if_none, defaultfilters.first, defaultfilters.floatformat, defaultfilters.join),
    *(defaultfilters.last, defaultfilters.length, defaultfilters.lower, defaultfilters.pluralize),
    *(defaultfilters.time, defaultfilters.title, defaultfilters.truncatechars, defaultfilters.truncatewords),
    *(defaultfilters.upper, defaultfilters.yesno),
):
    register.filter(_filter.__name__, _filter)
register.filter("slice", defaultfilters.slice_filter)
