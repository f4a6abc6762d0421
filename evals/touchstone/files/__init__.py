"""File boundaries: reading against a shape, writing whole."""
