"""The languages that receivers are written in: a template of the whole program, and what its blanks hold, for each."""
