"""What a convolution costs by each algorithm: the fixed rule that gives every shape the cheapest one.

Costs are for one image, in multiplications of a large matrix product. The constants were fitted once; nothing is timed
while the program runs, so a resumed run chooses as the first one did.
"""

from __future__ import annotations

import math
from functools import lru_cache

from . import plans
from .bilinear import Plan
from .geometry import Geometry
from .planes import side_of

PATCH = 18  # to copy an element into a patch
ADD_PATCH = 61  # to add an element of a patch back to the image
PLANE = 33  # to read or to write an element of a plane
RUN = 790  # to start on a run of memory
TRANSFORM = 86  # to move an element into a transform or out of it
SMALL = 0.17  # to multiply in the small product of a transform


@lru_cache(maxsize=256)
def cheapest(kernel: str, geometry: Geometry, images: int, outputs: int, channels: int) -> str:
    """The name of the algorithm for a kernel ("conv2d", ...) with a weight (O, C, KH, KW)."""
    costs = {
        "im2col": im2col(geometry, outputs, channels, ADD_PATCH if kernel == "conv_transpose2d" else PATCH),
        "planes": planes(geometry, outputs, channels),
    }
    winograd = plans.winograd_weight_grad if kernel == "conv2d_weight_grad" else plans.winograd
    for name, plan in (("frequency", plans.frequency), ("winograd", winograd)):
        try:
            costs[name] = bilinear(plan(geometry), images, outputs, channels)
        except plans.UnsuitableShape:
            costs[name] = math.inf
    return min(costs, key=costs.__getitem__)


def im2col(geometry: Geometry, outputs: int, channels: int, move: float) -> float:
    pixels, taps = math.prod(geometry.output_size), math.prod(geometry.kernel_size)
    return pixels * (taps * channels * (outputs + move) + geometry.kernel_size[0] * RUN)


def planes(geometry: Geometry, outputs: int, channels: int) -> float:
    side = side_of(geometry, outputs, channels)
    rows = sum(few.stop - few.start for few, _ in side.shifts)
    depth = outputs if side.few_inputs else channels * len(side.x)
    runs = sum(side.size[0] for _ in side.few) * min(channels, outputs)
    return math.prod(side.size) * (rows * depth + PLANE * (rows + depth)) + runs * RUN


def bilinear(plan: Plan, images: int, outputs: int, channels: int) -> float:
    (points, positions), (_, taps), (_, pixels) = (matrix.shape for matrix in plan.scheme)
    tiles, depth = math.prod(plan.x.count), channels * math.prod(plan.x.phases)
    u = tiles * points * depth * (SMALL * positions + TRANSFORM)
    w = points * depth * outputs * (SMALL * taps + TRANSFORM) / max(images, 1)
    v = tiles * points * outputs * (SMALL * pixels + TRANSFORM)
    return u + w + v + tiles * points * depth * outputs
