"""The narrowest ranges that NNCF quantises: relative to what a tensor holds, where NNCF's own are absolute.

NNCF 3.4 widens each range below 8e-4 (8e-5 around zero) to that, lest a scale be zero. A model whose numbers are smaller
throughout, as those of an untrained one become from layer to layer, is then quantised to next to nothing: a MobileNetV2
with seeded weights, whose logits span 1e-21, was off by 25 % of their range, and is by 1.2 % with relative floors.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

#: A range of this share of the largest value in the tensor is taken for none; NNCF's own figure for values around one.
_SHARE = 8e-4
#: The narrowest channel around zero, as a share of the widest; NNCF's own figure.
_CHANNEL_SHARE = 0.01
#: The width of a tensor that is zero throughout: far above the least that float32 holds, also in 255 steps.
_LEAST = 1e-30


@contextlib.contextmanager
def relative_floors() -> Iterator[None]:
    """Inside, NNCF's two functions that widen ranges are replaced; no setting of NNCF reaches them."""
    from nncf.quantization import fake_quantize

    own = fake_quantize.fix_zero_filters_symmetric, fake_quantize.fix_zero_filters_asymmetric
    fake_quantize.fix_zero_filters_symmetric, fake_quantize.fix_zero_filters_asymmetric = _widen_symmetric, _widen_asymmetric
    try:
        yield
    finally:
        fake_quantize.fix_zero_filters_symmetric, fake_quantize.fix_zero_filters_asymmetric = own


def _widen_symmetric(max_values: Any) -> Any:
    """The highest value of each channel, none of them far below that of the widest."""
    from nncf.tensor import functions

    return functions.maximum(max_values, functions.maximum(functions.max(max_values) * _CHANNEL_SHARE, _LEAST))


def _widen_asymmetric(min_values: Any, max_values: Any) -> tuple[Any, Any]:
    """The lowest and the highest value of each channel, apart from each other where they were not, and never more than by NNCF."""
    from nncf.tensor import functions

    reach = functions.max(functions.maximum(functions.abs(min_values), functions.abs(max_values)))
    floor = max(min(_SHARE, _SHARE * reach.item()), _LEAST)
    correction = functions.where(max_values - min_values > floor, 0.0, floor)
    return min_values - correction, max_values + correction
