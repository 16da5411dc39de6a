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

PASS = 15  # a pass over an element in memory
RUN = 500  # the start of a run of memory that is copied
SMALL = 2  # a multiplication in the small products of a transform
BATCH = 64  # images that share the transform of the weight


@lru_cache(maxsize=256)
def cheapest(geometry: Geometry, outputs: int, channels: int) -> str:
    """The name of the algorithm for a weight (O, C, KH, KW)."""
    costs = {"im2col": im2col(geometry, outputs, channels), "planes": planes(geometry, outputs, channels)}
    for name, plan in (("frequency", plans.frequency), ("winograd", plans.winograd)):
        try:
            costs[name] = bilinear(plan(geometry), outputs, channels)
        except plans.UnsuitableShape:
            costs[name] = math.inf
    return min(costs, key=costs.__getitem__)


def im2col(geometry: Geometry, outputs: int, channels: int) -> float:
    pixels, taps = math.prod(geometry.output_size), math.prod(geometry.kernel_size)
    return pixels * (taps * channels * (outputs + PASS) + geometry.kernel_size[0] * RUN)


def planes(geometry: Geometry, outputs: int, channels: int) -> float:
    side = side_of(geometry, outputs, channels)
    rows = sum(few.stop - few.start for few, _ in side.shifts)
    depth = outputs if side.few_inputs else channels * len(side.x)
    runs = sum(side.size[0] for _ in side.few) * min(channels, outputs)
    return math.prod(side.size) * (rows * depth + PASS * (rows + depth)) + runs * RUN


def bilinear(plan: Plan, outputs: int, channels: int) -> float:
    (points, positions), (_, taps), (_, pixels) = (matrix.shape for matrix in plan.scheme)
    tiles, depth = math.prod(plan.x.count), channels * math.prod(plan.x.phases)
    u = tiles * points * depth * (positions + PASS) * SMALL
    w = points * depth * outputs * (taps + PASS) * SMALL / BATCH
    v = tiles * points * outputs * (pixels + PASS) * SMALL
    return u + w + v + tiles * points * depth * outputs
