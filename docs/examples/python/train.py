"""Train a model for a few steps, measure it as it goes, and promote it if it passes: ``python train.py FOLDER``.

The folder holds a model of sentence-transformers. The baseline of what is released is ``baselines/released.json``.
"""

import sys

from datasets import Dataset
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

from touchstone import Model, measure
from touchstone.training import TouchstoneEvaluator, promote

TASKS = {"tasks": "smoke", "select": ["SmokeSTS", "SmokeRetrieval"]}
PAIRS = {
    "anchor": ["how do plants eat", "why is the sea salty", "who was the first on the moon", "what is a prime"] * 4,
    "positive": ["plants live on light", "rivers carry salt", "neil armstrong in 1969", "a number without factors"] * 4,
}


def main(folder: str, steps: int = 4) -> None:
    """Train, measure, promote."""
    model = SentenceTransformer(folder, device="cpu")
    measure(Model(model, "released"), baseline="record", **TASKS)  # once, before the first training
    evaluator = TouchstoneEvaluator(against="released", **TASKS)
    arguments = SentenceTransformerTrainingArguments(
        output_dir="checkpoints",
        max_steps=steps,
        per_device_train_batch_size=4,
        learning_rate=1e-4,
        eval_strategy="steps",
        eval_steps=steps // 2,
        save_steps=steps // 2,
        load_best_model_at_end=True,
        metric_for_best_model="eval_touchstone_mean_delta",  # in points, paired with what is released
        use_cpu=True,
        report_to="none",
    )
    trainer = SentenceTransformerTrainer(
        model=model,
        args=arguments,
        train_dataset=Dataset.from_dict(PAIRS),
        loss=MultipleNegativesRankingLoss(model),
        evaluator=evaluator,
    )
    trainer.train()
    candidate = measure(Model(model, "candidate"), against="released", **TASKS)
    print(candidate)
    print(promote(candidate, "released").reason)


if __name__ == "__main__":
    main(sys.argv[1])
