"""What the scripts' command lines share; only scripts import it."""
