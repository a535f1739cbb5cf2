"""Measurements of speed; they are no tests, and nothing else imports them."""

import os

#: The environment as the user gave it: minicnn sets a variable of OpenMP for itself, which the
#: processes of its peers must not inherit.
ENVIRONMENT = dict(os.environ)
