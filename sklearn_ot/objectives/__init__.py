"""One pure function per equation: tensors and callables in, scalar out."""
