"""Estimates of time, and the order of cases. Pure."""
