"""Minimal worst-case regret from randomised paired blocks: our own policy and its parts."""
