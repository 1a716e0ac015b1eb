"""The programs that draw the sample pictures in ``bnnjax/assets/samples``; see `artwork.make`."""
