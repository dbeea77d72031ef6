"""Which language text is in: fastText models learnt, asked and obeyed."""
