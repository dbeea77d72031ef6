"""Training runs as a law instead of a network, whose best mixture is known."""
