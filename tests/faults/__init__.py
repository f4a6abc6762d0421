"""What becomes of a run whose process, store, disk or neighbours fail: real processes, short in CI, long by hand."""
