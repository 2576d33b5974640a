"""An example for a network of your own: three convolutions, each of which halves the image."""

import keras


def build(input_size: int) -> keras.Model:
    """Return the network, from RGB values 0..255, float32 [N, S, S, 3], to maps, float32 [N, S / 8, S / 8, 64].

    It holds its own preprocessing. Its weights come from a file of `model.save_weights("mine.weights.h5")`.
    """
    source = keras.Input((input_size, input_size, 3))
    values = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(source)
    for block, width in enumerate((16, 32, 64), start=1):
        values = keras.layers.Conv2D(width, 3, strides=2, padding="same", name=f"block{block}_conv")(values)
        values = keras.layers.BatchNormalization(name=f"block{block}_norm")(values)
        values = keras.layers.ReLU(name=f"block{block}_relu")(values)
    return keras.Model(source, values, name="small")
