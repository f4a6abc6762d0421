"""Changes of a model in memory."""

from typing import Any


def shake(model: Any, seed: int = 1, size: float = 0.3) -> None:
    """Change every weight by chance."""
    import torch

    source = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(size * torch.randn(weight.shape, generator=source))
