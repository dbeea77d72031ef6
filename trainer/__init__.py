"""The Lightning training loop that asks a mixing policy at every optimiser step."""
