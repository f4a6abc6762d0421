"""Packing: texts one behind the other in a batch, without padding, and an attention in which none sees another.

The forward passes are transformers' and sentence-transformers' own, which pack for kernels that only some GPUs have.
Here the kernel is torch's, text by text, and what a token sees is asked of the mask that the model itself makes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any

from touchstone.errors import ModelError

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

    Sees = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]

ATTENTION_NAME = "sdpa_without_padding"
# Keys of a packed batch beside its ids, which a model has to hand on to its attention.
BOUND_KEYS = frozenset({"cu_seq_lens_q", "cu_seq_lens_k", "max_length_q", "max_length_k", "seq_idx"})


@dataclass(frozen=True, slots=True)
class Packing:
    """How a model takes packed batches: the position of a text's first token, and the tokens of the longest text."""

    first_position: int
    longest: int


@dataclass(slots=True)
class Mask:
    """What tokens of a packed batch see, which the layers of one forward pass share.

    ``sees`` is transformers' mask function: of batch, head, query and key, by their places in the whole batch.
    """

    sees: "Sees"
    groups: "list[tuple[slice, int, torch.Tensor | None, bool]]" = field(default_factory=list)

    def by_length(self, bounds: "torch.Tensor") -> "list[tuple[slice, int, torch.Tensor | None, bool]]":
        """Return groups of texts of one length: their tokens, how many texts, their mask, whether it is causal."""
        if not self.groups:
            self.groups = list(self._group(bounds))
        return self.groups

    def _group(self, bounds: "torch.Tensor") -> "Iterator[tuple[slice, int, torch.Tensor | None, bool]]":
        import torch

        start, none = 0, torch.zeros((), dtype=torch.int64)
        for length, texts in groupby(bounds.diff().tolist()):
            count = len(list(texts))
            places = torch.arange(start, start + count * length).view(count, 1, length)
            mask = self.sees(none, none, places.unsqueeze(-1), places.unsqueeze(-2))
            whole = mask.expand(count, 1, length, length)
            everything = bool(whole.all())
            causal = not everything and bool((whole == torch.ones(length, length, dtype=torch.bool).tril()).all())
            yield slice(start, start + count * length), count, None if everything or causal else whole, causal
            start += count * length


def make_mask(batch_size: int, q_length: int, kv_length: int, *args: Any, **named: Any) -> Any:
    """Return the `Mask` of a packed batch, which has no attention mask; of any other one torch's."""
    from transformers import AttentionMaskInterface

    if named.get("attention_mask") is not None:
        masks: Any = AttentionMaskInterface
        return masks()["sdpa"](batch_size, q_length, kv_length, *args, **named)
    return Mask(named["mask_function"])


def attend(
    module: "torch.nn.Module",
    query: "torch.Tensor",
    key: "torch.Tensor",
    value: "torch.Tensor",
    attention_mask: Any,
    **options: Any,
) -> "tuple[torch.Tensor, None]":
    """Let every text of a packed batch attend to itself; any other batch gets transformers' own attention.

    Args:
        module: the attention, as transformers hands it over.
        query: shape (1, heads, tokens, width); with padding (texts, heads, longest, width).
        key: the same, perhaps of fewer heads.
        value: the same.
        attention_mask: from `make_mask`.
        options: transformers' own.

    Returns:
        Shape (1, tokens, heads, width), and no weights.

    Raises:
        ModelError: the model does not hand on where texts begin, or what their tokens see.
    """
    import torch
    from transformers import AttentionInterface

    kinds: Any = AttentionInterface
    plain, bounds = kinds()["sdpa"], options.get("cu_seq_lens_q")
    packed = isinstance(attention_mask, Mask)
    if packed != (bounds is not None) or (packed and options.get("position_bias") is not None):
        raise ModelError("the model's attention is not told where texts begin and what their tokens see")
    if not packed:
        result: tuple[torch.Tensor, None] = plain(module, query, key, value, attention_mask, **options)
        return result
    arguments = {name: option for name, option in options.items() if name not in BOUND_KEYS and name != "is_causal"}
    parts = []
    for tokens, count, mask, causal in attention_mask.by_length(bounds):
        sides = (
            side[0, :, tokens].reshape(side.shape[1], count, -1, side.shape[3]).transpose(0, 1)
            for side in (query, key, value)
        )
        part, _ = plain(module, *sides, mask, is_causal=causal, **arguments)
        parts.append(part.flatten(0, 1))
    return torch.cat(parts)[None], None


def use_packing(model: "SentenceTransformer") -> Callable[[], None] | None:
    """Make a model take packed batches too, if it can; return a function that undoes this.

    That it then gives the same vectors, and sooner, is for the caller to find out.
    """
    import torch
    from sentence_transformers.base.modules import Transformer
    from transformers import AttentionInterface, AttentionMaskInterface

    reader: Any = model[0]
    inside: Any = getattr(reader, "model", None)
    able = (
        type(reader) is Transformer
        and reader.transformer_task == "feature-extraction"
        and getattr(inside, "is_backend_compatible", bool)()
        and inside.config._attn_implementation == "sdpa"
        and model.device.type == "cpu"
        and {weight.dtype for weight in model.parameters()} == {torch.float32}
    )
    if not able:
        return None
    AttentionInterface.register(ATTENTION_NAME, attend)
    AttentionMaskInterface.register(ATTENTION_NAME, make_mask)
    parameters = reader.model_forward_params

    def undo() -> None:
        inside.set_attn_implementation("sdpa")
        reader.model_forward_params = parameters

    inside.set_attn_implementation(ATTENTION_NAME)
    reader.model_forward_params = None if parameters is None else parameters | BOUND_KEYS
    return undo
