"""The webhook routes of Paisr's API, so that its clients find here what they call there: endpoints and the log again,
in its words. See docs/providers.md."""
