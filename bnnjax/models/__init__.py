"""ImageNet networks: one file per family, and one table of all networks (`registry`)."""
