"""Django's error pages of development and reports to admins: where it happened, without any value."""

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.debug import ExceptionReporter

from config.redaction import told, told_whole


class Reporter(ExceptionReporter):
    """Django's own shows variables, forms and settings. Here any of them may hold a secret or a payload, in development
    too, where people try with what they have."""

    def get_traceback_text(self) -> SafeString:
        return SafeString(told_whole(self.exc_value, self.tb)) if self.exc_value else SafeString()

    def get_traceback_html(self) -> SafeString:
        title = told(self.exc_value) if self.exc_value else ""
        page = '<!doctype html><html lang="en"><meta charset="utf-8"><title>{}</title><pre>{}</pre></html>'
        return format_html(page, title, str(self.get_traceback_text()))
