"""What a convolution costs by each algorithm: the fixed rule that gives every shape its algorithm.

Costs are for one image, in multiplications of a large matrix product. The constants were fitted once; nothing is timed
while the program runs, so a resumed run chooses as the first one did.
"""

from __future__ import annotations

import math
from functools import lru_cache

from . import plans
from .bilinear import Plan, chunk_size
from .geometry import Geometry
from .planes import side_of

PATCH = 17  # to copy an element into a patch
ADD_PATCH = 76  # to add an element of a patch back to the image
FEW = 8  # channels that may become planes, at most
PLANE = 31  # to read or to write an element of a plane
RUN = 460  # to start on a run of memory
TRANSFORM = 71  # to move an element into a transform or out of it
SMALL = 0.97  # to multiply in the small product of a transform
WORTH = 0.9  # what is kept takes memory: it should save at least a tenth

# The Winograd plan of every kernel.
PLANS = {
    "conv2d": plans.winograd,
    "conv_transpose2d": plans.winograd,
    "conv2d_weight_grad": plans.winograd_weight_grad,
}


@lru_cache(maxsize=256)
def cheapest(kernel: str, geometry: Geometry, images: int, outputs: int, channels: int) -> str:
    """The name of the algorithm for a kernel ("conv2d", ...) with a weight (O, C, KH, KW).

    It is the cheapest one, unless the three kernels, which a training step runs after each other, are cheaper together
    by a tenth in the frequency domain, where each array is transformed once for all of them: if the batch is one chunk.
    What Winograd's kernels share is little, and not counted.
    """
    costs = {name: alone(name, geometry, images, outputs, channels) for name in PLANS}
    best = {name: min(row, key=row.__getitem__) for name, row in costs.items()}
    together = sum(row["frequency"] for row in costs.values())
    if together < math.inf and images <= chunk_size(plans.frequency(geometry)):
        together -= transforms(plans.frequency(geometry), images, outputs, channels)
    return "frequency" if together < WORTH * sum(costs[name][best[name]] for name in PLANS) else best[kernel]


def alone(kernel: str, geometry: Geometry, images: int, outputs: int, channels: int) -> dict[str, float]:
    """The cost of a kernel by every algorithm, with all transforms its own."""
    costs = {
        "im2col": im2col(geometry, outputs, channels, ADD_PATCH if kernel == "conv_transpose2d" else PATCH),
        "planes": planes(geometry, outputs, channels),
    }
    for name, plan in (("frequency", plans.frequency), ("winograd", PLANS[kernel])):
        try:
            costs[name] = bilinear(plan(geometry), images, outputs, channels)
        except plans.UnsuitableShape:
            costs[name] = math.inf
    if max(plans.taps_of(geometry)) < 3 or min(channels, outputs) < 4:  # too few for the errors of long transforms
        costs["frequency"] = math.inf
    return costs


def im2col(geometry: Geometry, outputs: int, channels: int, move: float) -> float:
    pixels, taps = math.prod(geometry.output_size), math.prod(geometry.kernel_size)
    return pixels * (taps * channels * (outputs + move) + geometry.kernel_size[0] * RUN)


def planes(geometry: Geometry, outputs: int, channels: int) -> float:
    """Infinite where both sides have many channels: that many planes are slow to put together."""
    if min(channels, outputs) > FEW:
        return math.inf
    side = side_of(geometry, outputs, channels)
    rows = sum(few.stop - few.start for few, _ in side.shifts)
    depth = outputs if side.few_inputs else channels * len(side.x)
    runs = sum(side.size[0] for _ in side.few) * min(channels, outputs)
    return math.prod(side.size) * (rows * depth + PLANE * (rows + depth)) + runs * RUN


def bilinear(plan: Plan, images: int, outputs: int, channels: int) -> float:
    points, tiles, depth = len(plan.scheme.x), math.prod(plan.x.count), channels * math.prod(plan.x.phases)
    return transforms(plan, images, outputs, channels) + tiles * points * depth * outputs


def transforms(plan: Plan, images: int, outputs: int, channels: int) -> float:
    """Of input, weight and output."""
    (points, positions), (_, taps), (_, pixels) = (matrix.shape for matrix in plan.scheme)
    tiles, depth = math.prod(plan.x.count), channels * math.prod(plan.x.phases)
    u = tiles * points * depth * (SMALL * positions + TRANSFORM)
    w = points * depth * outputs * (SMALL * taps + TRANSFORM) / max(images, 1)
    v = tiles * points * outputs * (SMALL * pixels + TRANSFORM)
    return u + w + v
