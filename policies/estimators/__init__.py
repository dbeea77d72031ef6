"""What logged rounds say about domains that were not tried alone: values and effects."""
