"""The weights of VGG-19 from the files that they are distributed in."""
