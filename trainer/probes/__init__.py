"""What a decision can ask the training loop to measure, one probe per signal."""
