"""One run, from its options to its files; stored runs compared and merged."""
