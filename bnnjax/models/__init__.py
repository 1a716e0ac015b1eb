"""ImageNet networks: one family a file, one table of all (`registry`)."""
