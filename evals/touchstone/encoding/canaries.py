"""Canaries: texts on which one way to vectors is compared with another."""

from typing import TYPE_CHECKING, Any

from touchstone.encoding.batches.token_batches import limit_of
from touchstone.encoding.prompts import Role
from touchstone.encoding.routes import read_by

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

CANARIES = (
    "A short text.",
    "Another text, a little longer than the first one, about a river that rises after rain.",
    "What makes bread rise?",
    "1, 2, 3 -- numbers & signs; (brackets).",
    "The committee postponed its decision because two of its members had not read the report, which was sent late.",
)
# Words of the long text, and the widest window that it is made for: on a CPU more would take longer than it saves.
WORDS, WIDEST = 512, 1024
# What configurations call the tokens that one token sees.
WINDOWS = ("sliding_window", "local_attention", "attention_window")


def long_text(model: "SentenceTransformer", role: Role | None) -> str:
    """Return a text of more tokens than any window of a model has that is not very wide, or than the model reads."""
    reader: Any = read_by(model, role)
    config = getattr(getattr(reader, "model", None), "config", None)
    windows = [size for name in WINDOWS if isinstance(size := getattr(config, name, None), int) and size < WIDEST]
    most = max([WORDS, *(size + WORDS // 4 for size in windows)])
    limit = limit_of(reader)
    words = " ".join(CANARIES).split()
    count = most if limit is None else min(most, limit + 1)
    return " ".join(words[place % len(words)] for place in range(count))
