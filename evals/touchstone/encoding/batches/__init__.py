"""Batches: how many texts at once, and in what form a model gets them."""
