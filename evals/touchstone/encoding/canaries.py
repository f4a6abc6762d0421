"""Canaries: texts on which one way to vectors is compared with another."""

from typing import TYPE_CHECKING, Any

from touchstone.encoding.batches.token_batches import limit_of
from touchstone.encoding.prompts import Role
from touchstone.encoding.routes import reader_of

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
WORD_COUNT, MAX_WINDOW = 512, 1024
# Keys of configurations for the number of tokens that one token sees.
WINDOW_KEYS = ("sliding_window", "local_attention", "attention_window")


def long_text(model: "SentenceTransformer", role: Role | None) -> str:
    """Return a text longer than the windows of a model, but for very wide ones, or longer than the model's limit."""
    reader: Any = reader_of(model, role)
    config = getattr(getattr(reader, "model", None), "config", None)
    sizes = (getattr(config, key, None) for key in WINDOW_KEYS)
    windows = [size for size in sizes if isinstance(size, int) and size < MAX_WINDOW]
    most = max([WORD_COUNT, *(size + WORD_COUNT // 4 for size in windows)])
    limit = limit_of(reader)
    words = " ".join(CANARIES).split()
    count = most if limit is None else min(most, limit + 1)
    return " ".join(words[place % len(words)] for place in range(count))
