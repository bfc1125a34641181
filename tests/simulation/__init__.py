"""A platform of thousands of endpoints in one process: the engine's own decisions over tables in memory."""
