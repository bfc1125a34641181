"""`signet`, the command line for developers: the platform seen from the other end of its API."""
