"""What can be asked of merchants, keys, event types and endpoints. Selectors read; services write."""
