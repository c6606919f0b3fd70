"""The network: its layers, how they are computed, its grid and its loss."""
