"""Hints in errors: what somebody probably meant."""
