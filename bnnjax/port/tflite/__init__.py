"""Networks from `.tflite` files of Larq Compute Engine, read without TensorFlow."""
