"""The OpenAPI document of the whole API: written beside the routes, checked against them and against real answers."""
