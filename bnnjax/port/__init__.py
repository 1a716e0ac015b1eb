"""Weights: `load_model`, readers of third-party formats, and our own network files."""
