"""Many pictures, painted by several workers on one machine or on a cluster."""

from bnnjax.many.many import problems, stylize_many
from bnnjax.many.results import Row
from bnnjax.many.workers import Workers

__all__ = ["Row", "Workers", "problems", "stylize_many"]
