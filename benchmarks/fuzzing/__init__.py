"""What benchmarks/fuzz.py consists of: readers with valid files, damage, and the child process."""
