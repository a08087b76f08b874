"""Functions of the math dialect, made of arithmetic on floats and on their bits: what IREE computes badly, or not."""
