"""The machines and devices that share a run."""
