"""Receivers for tests: real sockets, real TLS, and a script that says how each connection misbehaves."""

from tests.receivers.receiver import Connection, Received, Receiver

__all__ = ["Connection", "Received", "Receiver"]
