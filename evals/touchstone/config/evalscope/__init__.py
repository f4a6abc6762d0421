"""EvalScope configurations, read as suites."""
