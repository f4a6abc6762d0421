"""The functions that a program calls: measure a model, judge a run, compare two; `touchstone` itself exports them."""
