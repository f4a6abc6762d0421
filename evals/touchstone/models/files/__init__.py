"""The files of models: where they are, what they say a model is, and which of them are loaded."""
