"""Options of a network's computation, independent of its weights."""

import dataclasses
import math
from functools import partial

from bnnjax import quant
from bnnjax.binary.backend import Arithmetic

SIGN_QUANTIZERS = ("ste_sign", "approx_sign", "swish_sign")
POOLINGS = ("max", "avg", "blur")


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of a network's computation, independent of its weights.

    Attributes:
      pseudo_gradient: the gradient of activations' signs: "ste_sign", "approx_sign" or
        "swish_sign".
      clip: ste_sign passes the gradient where |x| ≤ clip; None passes it everywhere.
      pooling: the pooling between sections, "max" (as trained), "avg" or "blur" (see `blur_pool`).
      residual_scale: the factor of residual shortcuts, see `add_shortcut`; 0 cuts them.
      backend: the arithmetic of binary layers, see `bnnjax.binary.backend`.
      gradient_dtype: the dtype of packed layers' backward products, see
        `bnnjax.binary.backend.Arithmetic`.

    Raises:
      ValueError: an invalid value.
    """

    pseudo_gradient: str = "ste_sign"
    clip: float | None = 1.0
    pooling: str = "max"
    residual_scale: float = 1.0
    backend: str = "auto"
    gradient_dtype: str = "auto"

    def __post_init__(self) -> None:
        for field, allowed in (("pseudo_gradient", SIGN_QUANTIZERS), ("pooling", POOLINGS)):
            if getattr(self, field) not in allowed:
                raise ValueError(f"{field} is {getattr(self, field)!r}, needs one of {allowed}")
        if self.clip is not None and not self.clip > 0:
            raise ValueError(f"clip is {self.clip}, needs a positive number or None")
        if not 0 <= self.residual_scale < math.inf:
            raise ValueError(
                f"residual_scale is {self.residual_scale}, needs a finite non-negative number"
            )
        _ = self.arithmetic  # which checks its own fields

    @property
    def arithmetic(self) -> Arithmetic:
        """The backend and the dtype of the backward products."""
        return Arithmetic(self.backend, self.gradient_dtype)

    @property
    def input_quantizer(self) -> quant.Quantizer:
        """The sign with the selected pseudo-gradient."""
        if self.pseudo_gradient == "ste_sign":
            return partial(quant.ste_sign, clip=self.clip)
        return quant.get(self.pseudo_gradient)
