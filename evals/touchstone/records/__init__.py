"""The nouns of the package, as frozen data."""
