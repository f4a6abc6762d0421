"""Weights that are loaded here: found, identified, loaded as the specification says, and looked at."""
