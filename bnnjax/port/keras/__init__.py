"""Networks from the `.h5` files of Keras and Larq, read without TensorFlow."""
