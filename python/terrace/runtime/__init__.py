"""Loading and running compiled models, without a compiler but for co-simulation. torch is imported for its tensors."""
