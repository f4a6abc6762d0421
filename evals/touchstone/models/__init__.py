"""A model's specification becomes an encoder for mteb, and an identity to file results under."""
