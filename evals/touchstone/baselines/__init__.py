"""Committed baselines: find, merge and compare them."""
