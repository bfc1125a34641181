"""Receivers for merchants: programs in several languages that verify what a profile sends, made from its data."""

from dispatcher.receivers.recipe import Unverifiable
from dispatcher.receivers.snippets import LANGUAGES, Snippet, snippet

__all__ = ["LANGUAGES", "Snippet", "Unverifiable", "snippet"]
