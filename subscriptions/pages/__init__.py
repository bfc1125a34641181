"""Pages for people who have no account here: the owners of addresses that merchants write to."""
