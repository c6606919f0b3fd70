"""How good predictions are, and what is written about it."""
