"""The page of evaluate.py --report: the numbers, and every picture of the list."""
