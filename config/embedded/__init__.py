"""PostgreSQL and Redis started by us, for trying out, development and tests. Never a dependency of production."""
