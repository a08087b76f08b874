"""SystemVerilog through CIRCT."""
