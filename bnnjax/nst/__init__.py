"""Neural style transfer: losses, parametrisations, the jitted and vmapped optimisation."""
