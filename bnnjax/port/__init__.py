"""Weights: `load_model`, readers of other formats, and our own network files."""
