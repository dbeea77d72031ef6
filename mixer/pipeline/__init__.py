"""`glotmix prepare --pipeline`: datatrove's blocks, and ours, from raw text to token shards."""
