"""Fetch a model card from the hub."""

from pathlib import Path

from evals.errors import SourceError, first_line


def fetch_card(model: str, revision: str | None) -> tuple[Path, str]:
    """Fetch a model's README; return the file and the commit that it is of.

    Raises:
        SourceError: there is no network, no such model, or it has no card.
    """
    from huggingface_hub import hf_hub_download

    try:
        file = Path(hf_hub_download(model, "README.md", revision=revision))
    except Exception as error:  # offline, refused, not found: the hub's library has an exception for each
        raise SourceError(
            f"{model} is no file or folder here, and the hub gave no card of that name: {first_line(error)}"
        ) from None
    return file, file.parent.name  # the cache has a folder for each commit
