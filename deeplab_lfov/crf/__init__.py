"""The dense CRF that refines probabilities."""
