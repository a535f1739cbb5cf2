"""Checks of what a user gives: each says what it is, what was expected and what came."""

from minicnn.checks.objects import (
    check_callable,
    check_dict,
    check_items,
    check_iterable,
    check_kind,
    check_names,
    is_third_party,
    list_of,
    restoring,
    takes,
)
from minicnn.checks.values import (
    as_array,
    check_array,
    check_count,
    check_dtype,
    check_finite,
    check_flag,
    check_generator,
    check_number,
    check_numbers,
    check_numeric,
    check_pair,
    check_path,
    check_positive,
    check_seed,
    check_shape,
    check_text,
    described,
    is_array,
    is_finite,
    listed,
    make_rng,
    shown,
)

__all__ = [
    "as_array", "check_array", "check_callable", "check_count", "check_dict", "check_dtype",
    "check_finite", "check_flag", "check_generator", "check_items", "check_iterable", "check_kind",
    "check_names", "check_number", "check_numbers", "check_numeric", "check_pair", "check_path",
    "check_positive", "check_seed", "check_shape", "check_text", "described", "is_array",
    "is_finite", "is_third_party", "list_of", "listed", "make_rng", "restoring", "shown", "takes",
]  # fmt: skip
