"""Weights from files of every known format, and back."""
