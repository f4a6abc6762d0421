"""Task types: their samples, formulas and texts."""
