"""A user's own things by name: a class or function in a file or module."""
