"""The demo provider: a small card platform with merchants, a verifying receiver and a steady stream of events."""
