"""From a recorded network to a graph of TFLite's and Larq Compute Engine's operators."""
