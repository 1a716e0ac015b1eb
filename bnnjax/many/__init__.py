"""Many pictures, painted by several workers on one machine or on a cluster."""

from bnnjax.many.many import Workers, problems, stylize_many
from bnnjax.many.results import Row

__all__ = ["Row", "Workers", "problems", "stylize_many"]
