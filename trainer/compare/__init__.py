"""``glotmix compare``: policies on paired seeds at equal total cost, in one table."""
