"""Loading and running compiled models. Profiles and co-simulation alone need the compiler; nothing imports torch."""
