"""The training step: gradients, update rules and rate policies."""
