"""What can go wrong with the embedded services, as sentences for the person at the terminal."""


class EmbeddedError(Exception):
    """An embedded service cannot be started or stopped; the text says why and what to do."""
