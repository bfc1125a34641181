"""A database back end for when there is none: it loads, so that commands can start, and refuses to connect."""
