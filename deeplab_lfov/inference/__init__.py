"""Pictures in; masks, probabilities and scores out."""
