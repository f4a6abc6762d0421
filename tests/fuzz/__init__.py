"""Hostile input for everything that reads: each is understood or refused in one sentence; short in CI."""
