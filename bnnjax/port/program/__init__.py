"""Networks from files whose graph is data: a static program of steps, and the module that runs it.

`bnnjax.port.tflite` translates the graphs of ``.tflite`` files to programs, `bnnjax.port.keras`
those of Keras models.
"""
