"""What each task type means: its samples, formulas and texts."""
