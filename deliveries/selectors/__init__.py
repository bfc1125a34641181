"""What can be asked of events, deliveries and attempts. Selectors read; services write."""
