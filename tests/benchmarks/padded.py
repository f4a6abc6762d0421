"""A plug-in of pytest, ``-p tests.benchmarks.padded``: no model packs its batches, all of them pad."""

from touchstone.models import sentence_transformers

setattr(sentence_transformers, "find_packing", lambda *_: None)  # noqa: B010
