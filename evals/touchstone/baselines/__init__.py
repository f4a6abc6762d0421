"""Committed expectations: found, merged, compared."""
