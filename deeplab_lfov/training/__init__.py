"""A run: its settings, its loop, and what it leaves on disk."""
