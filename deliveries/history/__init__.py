"""A made-up past: a log as large as wanted, to measure with and to look at."""
