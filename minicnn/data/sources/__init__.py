"""Where data sets come from: published ones by name, and people's own folders and files."""

from minicnn.data.sources.by_name import is_own, load, names
from minicnn.data.sources.idx_folder import load_folder
from minicnn.data.sources.images import load_images
from minicnn.data.sources.published import load_mnist, load_published

__all__ = ["is_own", "load", "load_folder", "load_images", "load_mnist", "load_published", "names"]
