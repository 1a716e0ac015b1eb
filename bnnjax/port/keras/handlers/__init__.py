"""What becomes of each layer of Keras and Larq, one file per kind of layer.

Each file has a table ``HANDLERS``: the class of a layer → a function of the builder, the layer and
the values that it is called with, which appends steps and returns the value of the result.
"""
