"""Exact arithmetic on ±1 tensors: bits, xor and popcount in pure `jax.lax`."""
