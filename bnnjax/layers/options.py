"""How a network computes, apart from what its weights are."""

import dataclasses
from functools import partial

from bnnjax import quant
from bnnjax.binary.backend import Arithmetic

SIGN_QUANTIZERS = ("ste_sign", "approx_sign", "swish_sign")
POOLINGS = ("max", "avg")


@dataclasses.dataclass(frozen=True)
class Options:
    """How a network computes, apart from what its weights are.

    Attributes:
      pseudo_gradient: of the sign of activations: "ste_sign", "approx_sign" or "swish_sign".
      clip: ste_sign passes the gradient where |x| ≤ clip; None passes it everywhere.
      pooling: "max" (as trained) or "avg", between sections.
      backend: arithmetic of binary layers, see `bnnjax.binary.backend`.
      gradient_dtype: of the backward products of packed layers, "bfloat16" or "float32".

    Raises:
      ValueError: a choice that does not exist.
    """

    pseudo_gradient: str = "ste_sign"
    clip: float | None = 1.0
    pooling: str = "max"
    backend: str = "auto"
    gradient_dtype: str = "bfloat16"

    def __post_init__(self) -> None:
        for field, allowed in (("pseudo_gradient", SIGN_QUANTIZERS), ("pooling", POOLINGS)):
            if getattr(self, field) not in allowed:
                raise ValueError(f"{field} is {getattr(self, field)!r}, needs one of {allowed}")
        if self.clip is not None and not self.clip > 0:
            raise ValueError(f"clip is {self.clip}, needs a positive number or None")
        _ = self.arithmetic  # which checks its own choices

    @property
    def arithmetic(self) -> Arithmetic:
        """Backend and dtype of the backward products."""
        return Arithmetic(self.backend, self.gradient_dtype)

    @property
    def input_quantizer(self) -> quant.Quantizer:
        """Sign with the chosen pseudo-gradient."""
        if self.pseudo_gradient == "ste_sign":
            return partial(quant.ste_sign, clip=self.clip)
        return quant.get(self.pseudo_gradient)
