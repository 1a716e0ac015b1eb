"""Training of binary networks: data, views, objective, optimizers, and a loop that resumes."""
