"""The demo: five payment systems side by side, each with merchants, verifying receivers and a stream of events."""
