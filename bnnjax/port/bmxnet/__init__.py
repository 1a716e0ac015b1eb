"""BMXNet's ``.params`` files: lists of arrays, and the networks in them."""
