"""Films: frames painted one after the other, each tied to its predecessor by optical flow."""

from bnnjax.film.measure import flicker
from bnnjax.film.stylize import FilmResult, stylize_film
from bnnjax.film.temporal import Temporal

__all__ = ["FilmResult", "Temporal", "flicker", "stylize_film"]
