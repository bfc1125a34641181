"""How people and machines watch a running platform: numbers, heartbeats, a worker's port, a line a request."""
