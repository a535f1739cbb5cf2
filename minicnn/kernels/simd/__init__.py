"""What knows LLVM: vectors, tiles in registers, and elementary functions."""
