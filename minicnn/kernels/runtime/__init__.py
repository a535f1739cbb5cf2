"""How kernels are compiled, kept on disk, spread over threads, and replayed."""
