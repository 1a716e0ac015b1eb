"""Readers for the files in which the weights of VGG-19 are distributed."""
