"""Mixing policies: feedback from training in, the weights of the next batch out. numpy only."""
