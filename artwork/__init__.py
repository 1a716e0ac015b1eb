"""The programs that drew the sample pictures in ``bnnjax/assets/samples``: see `artwork.make`."""
