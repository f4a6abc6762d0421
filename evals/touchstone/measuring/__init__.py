"""A case becomes an outcome."""
