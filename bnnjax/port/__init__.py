"""Weights from elsewhere, our own 1-bit checkpoints, and `load_model`."""
