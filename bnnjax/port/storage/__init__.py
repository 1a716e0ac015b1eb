"""Network files, exported archives, downloads and the cache."""
