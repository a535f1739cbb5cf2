"""Convolution by Winograd's minimal filtering, F(4x4, 3x3)."""
