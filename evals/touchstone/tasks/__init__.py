"""Tasks, mteb's and custom ones: find them without data, open one with its data."""
