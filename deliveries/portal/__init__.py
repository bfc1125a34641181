"""The portal's pages that show deliveries: overview, endpoints, event log."""
