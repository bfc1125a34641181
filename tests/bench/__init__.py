"""Benchmarks: `python -m tests.bench [names…]` or `make bench`. Nothing here is a test."""
