"""How the platform is watched: logs, numbers, traces, dashboards and alerts."""
