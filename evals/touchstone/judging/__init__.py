"""Judge outcomes: the gate, its statistics and its power. Pure: no file, no library of models."""
