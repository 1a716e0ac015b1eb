"""Networks from files of Keras and Larq, read without TensorFlow.

`importer` fits the weights in a file to a network of the registry. `network` reads whole models,
which describe themselves: `archive` opens the file, `model`, `notation` and `connect` follow its
graph, and `handlers` translates each layer to steps of a program (`bnnjax.port.program`).
"""
