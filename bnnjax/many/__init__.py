"""Many pictures, painted by several workers on one machine or on a cluster."""
