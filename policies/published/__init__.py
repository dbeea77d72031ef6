"""Published mixing rules, one file each, named after their papers."""
