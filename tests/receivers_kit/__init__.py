"""The receivers that merchants are given, run as they are and sent real deliveries."""
