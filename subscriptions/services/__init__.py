"""What can be done to merchants, keys, event types, endpoints and secrets. Services write; selectors read."""
