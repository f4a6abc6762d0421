"""Texts become vectors: prompts, batches, checks."""
