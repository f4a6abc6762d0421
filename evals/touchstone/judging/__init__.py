"""An outcome becomes a verdict. Pure: no file, no library of models."""
