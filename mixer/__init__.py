"""From documents to batches: token shards, per-domain streams, and a mixture that obeys at once."""
