"""Numbers that are published elsewhere become baselines: model cards, result files of mteb, runs of ours."""
