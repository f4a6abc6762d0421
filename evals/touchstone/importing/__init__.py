"""Import published numbers as baselines: model cards, result files of mteb, our own runs."""
