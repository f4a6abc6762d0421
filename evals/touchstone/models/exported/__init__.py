"""Exported models: encoders and cross-encoders whose transformer is a graph that another runtime computes."""
