"""JSON Schemas of payloads: which are taken, whether a payload fits, why it does not, and a payload that does."""
