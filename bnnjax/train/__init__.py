"""Training of binarized networks: data, augmentation, optimizers, and a loop that can resume."""
