"""One order of derivative of one function at one point: by its rules, and from its values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..autograd import Function, Tensor, grad
from ..kernels.reference import ReferenceKernels
from .derivative import ROUGHEST, ROUNDING, Kink, Line, complex_step, five_point, signs_apart_from_zero, size
from .report import GradientError, Mismatch

SMALL_JACOBIAN = 100  # elements
ESCAPES = 8  # how often inputs at a kink are moved before giving up


class Comparison:
    """One order of derivative of one function at one point."""

    def __init__(self, function, inputs, primals: int, name: str, order: int, method: str, call: str, rng):
        self.function, self.inputs, self.primals = function, list(inputs), primals
        self.name, self.order, self.method, self.call, self.rng = name, order, method, call, rng
        self.backend = inputs[0].backend

    # ------------------------------------------------------------------ verdict

    def run(self, rtol: float) -> tuple[float, list[Tensor], list[Tensor]]:
        """(worst relative error, the inputs where it was measured, the cotangents)."""
        for _ in range(ESCAPES):
            try:
                outputs = self.outputs(self.inputs)
                self.require_repeatable(outputs)
                self.here = self.flat(outputs)
                cotangents = [self.like(output) for output in outputs]
                gradients = self.gradients(self.inputs, cotangents)
                changes = [np.linalg.norm(g) * size(self.host(x)) for g, x in zip(gradients, self.inputs, strict=True)]
                self.reach = float(max(np.linalg.norm(self.here), *changes))
                worst = self.compare_directions(gradients, cotangents, rtol)
                return max(worst, self.compare_jacobians(outputs, rtol)), self.inputs, cotangents
            except Kink:
                self.inputs = [leaf(t.data + 0.01 * size(self.host(t)) * self.like(t).data, t) for t in self.inputs]
        raise GradientError(
            f"{self.name}, order {self.order}: the difference quotients do not settle at the inputs nor near them. "
            "The function has a kink or a jump everywhere, or its derivative drowns in rounding"
        )

    def compare_directions(self, gradients: list[np.ndarray], cotangents: list[Tensor], rtol: float) -> float:
        """v . f along one random direction of every argument against g . u."""
        weights = np.concatenate([self.host(v).ravel() for v in cotangents])[None]
        worst = 0.0
        for argument, gradient in enumerate(gradients):
            if not gradient.size:
                continue
            u = signs_apart_from_zero(self.rng, gradient.shape)
            u /= np.linalg.norm(u)
            scale = float(np.linalg.norm(gradient * u))  # what a sum of so many signs is expected to be
            _, relative = self.compare((gradient * u).sum(), argument, u, weights, scale, rtol)
            if not relative.item() <= rtol:
                index, by_rule, value = self.locate(argument, gradient, weights, rtol)
                raise self.mismatch(argument, index, by_rule, value, relative.item(), rtol)
            worst = max(worst, relative.item())
        return worst

    def compare_jacobians(self, outputs: list[Tensor], rtol: float) -> float:
        """All elements of the Jacobian of every argument for which it is small, each against the greatest."""
        rows = sum(output.size for output in outputs)
        small = [k for k, x in enumerate(self.inputs) if 1 < x.size * rows <= SMALL_JACOBIAN]
        if not small:
            return 0.0
        units = np.eye(rows)
        by_rule = [self.gradients(self.inputs, self.unflatten(unit, outputs)) for unit in units]
        worst = 0.0
        for argument in small:
            jacobian = np.stack([gradients[argument] for gradients in by_rule])  # (outputs, *input shape)
            scale = float(np.abs(jacobian).max())
            for index in np.ndindex(jacobian.shape[1:]):
                column = jacobian[(slice(None), *index)]
                direction = np.zeros(jacobian.shape[1:])
                direction[index] = 1.0
                reference, relative = self.compare(column, argument, direction, units, scale, rtol)
                row = int(relative.argmax())
                if not relative[row] <= rtol:
                    raise self.mismatch(argument, index, column[row], reference[row], relative[row], rtol)
                worst = max(worst, float(relative[row]))
        return worst

    def compare_precisions(self, narrow: list[Tensor], cotangents: list[Tensor], rtol: float) -> float:
        """The float32 gradient against the float64 gradient at the very same numbers."""
        for output in self.outputs(narrow):
            if output.dtype != np.float32:
                raise GradientError(f"{self.name}, order {self.order}: float32 inputs gave a result of {output.dtype}")
        by_rule = self.gradients(narrow, cotangents)
        widened = [leaf(t.data.astype(np.float64), t) for t in (*narrow, *cotangents)]
        reference = self.gradients(widened[: len(narrow)], widened[len(narrow) :])
        worst, largest = 0.0, max([t.size for t in (*narrow, *cotangents)])
        for argument, (single, double) in enumerate(zip(by_rule, reference, strict=True)):
            if not double.size:
                continue
            scale, whole = float(np.abs(double).max()), self.reach / size(self.host(narrow[argument]))
            rounded = double.size < largest or scale <= ROUGHEST * whole  # a sum may cancel to its rounding
            noise = ROUNDING * np.finfo(np.float32).eps * whole if rounded else 0.0
            relative = _relative(single, double, scale, noise, rtol)
            index: Any = np.unravel_index(relative.argmax(), relative.shape)
            if not relative[index] <= rtol:
                self.method = "the same rule in float64"
                raise self.mismatch(argument, index, single[index], double[index], relative[index], rtol)
            worst = max(worst, float(relative[index]))
        return worst

    # ------------------------------------------------------------- both sides

    def line(self, argument: int, direction: np.ndarray, weights: np.ndarray) -> Line:
        arrays = [self.host(t) for t in self.inputs]
        return Line(self.evaluate, arrays, self.here, self.reach, argument, direction, weights)

    def compare(self, by_rule: Any, argument: int, direction, weights, scale: float, rtol: float) -> tuple:
        """The derivative from values alone (one number a row of weights), and the relative errors of by_rule.

        What looks wrong gets the benefit of the doubt that the rounding of the function, then measured, gives it.
        """
        line = self.line(argument, direction, weights)
        reference, step = self.derivative(line, scale, rtol)
        relative = _relative(by_rule, reference, scale, line.rounding() / step, rtol)
        if not (relative <= rtol).all():
            relative = _relative(by_rule, reference, scale, line.roughness() / step, rtol)
        return reference, relative

    def derivative(self, line: Line, scale: float, rtol: float) -> tuple[np.ndarray, float]:
        if self.method == "complex":
            with _complex_arithmetic(self.backend):
                return complex_step(line)
        with np.errstate(all="ignore"):  # a step over the edge of the domain is noticed and taken back
            return five_point(line, scale, rtol)

    def gradients(self, inputs: Sequence[Tensor], cotangents: Sequence[Tensor]) -> list[np.ndarray]:
        """By the rules: one host array an argument."""
        leaves = [leaf(t.data, t) for t in inputs]
        with self.unchanged(inputs, cotangents):
            gradients = [self.host(t) for t in grad(self.outputs(leaves), leaves, cotangents)]
        for argument, gradient in enumerate(gradients):
            if not np.isfinite(gradient).all():
                where = tuple(int(i) for i in np.argwhere(~np.isfinite(gradient))[0])
                raise GradientError(
                    f"{self.name}, order {self.order}: the gradient of {self.argument(argument)} is "
                    f"{gradient[where]} at {where}, where the function is finite\n  reproduce with {self.call}"
                )
        return gradients

    def outputs(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        outputs = as_tuple(self.function(*inputs))
        for output in outputs:
            if not isinstance(output, Tensor):
                raise TypeError(f"{self.name} must return a Tensor or a tuple of Tensors, got {type(output).__name__}")
            if output.dtype.kind not in "fc":
                raise TypeError(f"{self.name} returned a Tensor of {output.dtype}: only floating point has gradients")
        return list(outputs)

    def evaluate(self, arrays: Sequence[np.ndarray]) -> np.ndarray:
        leaves = [Tensor(self.backend.asarray(a), self.backend, requires_grad=True) for a in arrays]
        return self.flat(self.outputs(leaves))

    # ---------------------------------------------------------------- contracts

    @contextmanager
    def unchanged(self, inputs: Sequence[Tensor], cotangents: Sequence[Tensor] = ()) -> Iterator[None]:
        """Nobody writes into inputs or cotangents inside the block."""
        before = [self.host(t) for t in (*inputs, *cotangents)]
        yield
        for index, (t, kept) in enumerate(zip((*inputs, *cotangents), before, strict=True)):
            if not np.array_equal(self.host(t), kept):
                what = self.argument(index) if index < len(inputs) else "the cotangent"
                raise GradientError(f"{self.name}, order {self.order}: {what} is changed in place")

    def require_repeatable(self, outputs: list[Tensor]) -> None:
        """Finite, and the same when called again."""
        with self.unchanged(self.inputs):
            repeated = self.outputs(self.inputs)
        for index, (output, again) in enumerate(zip(outputs, repeated, strict=True)):
            first, second = self.host(output), self.host(again)
            if not np.isfinite(first).all():
                raise GradientError(f"{self.name}, order {self.order}: output {index} is not finite at these inputs")
            allowed = 100 * np.finfo(first.dtype).eps * np.abs(first).max(initial=0)
            if first.shape != second.shape or np.abs(first - second).max(initial=0) > allowed:
                raise GradientError(
                    f"{self.name} is random: two calls on the same inputs gave different values. "
                    "Draw the randomness outside, and close over it"
                )

    # ------------------------------------------------------------------- report

    def locate(self, argument: int, gradient: np.ndarray, weights: np.ndarray, rtol: float) -> tuple[Any, float, float]:
        """(index, value by the rule, reference) of the worst element; of many elements, of one that is wrong."""

        def sides(elements: Any) -> tuple[float, float]:
            direction: Any = np.zeros(gradient.size)
            direction[elements] = signs[elements]
            direction = direction.reshape(gradient.shape)
            reference, _ = self.derivative(self.line(argument, direction, weights), float(np.abs(gradient).max()), rtol)
            return (gradient * direction).sum(), reference[0]

        def error(elements: Any) -> float:
            by_rule, reference = sides(elements)
            return abs(by_rule - reference)

        signs: Any = signs_apart_from_zero(self.rng, gradient.size)
        elements: Any = np.arange(gradient.size)
        while len(elements) > 64:
            elements = max(np.array_split(elements, 2), key=error)
        signs = np.ones(gradient.size)
        worst = max(elements, key=error)
        return np.unravel_index(worst, gradient.shape), *sides(worst)

    def mismatch(self, argument: int, index, analytic, reference, relative, rtol: float) -> GradientError:
        methods = {"difference": "five-point differences", "complex": "the complex step"}
        mismatch = Mismatch(
            operation=self.name,
            order=self.order,
            argument=self.argument(argument),
            index=tuple(int(i) for i in index),
            analytic=float(analytic),
            reference=float(reference),
            method=methods.get(self.method, self.method),
            absolute=abs(float(analytic) - float(reference)),
            relative=float(relative),
            tolerance=rtol,
            reproduce=self.call,
        )
        return GradientError(f"gradcheck of {self.name}: the rule does not say what the function does", mismatch)

    def argument(self, index: int) -> str:
        """How the report names an argument: those of order 2 are the inputs and the cotangent, and so on."""
        return f"input {index}" if index < self.primals else f"the cotangent (argument {index} of order {self.order})"

    # ------------------------------------------------------------------ arrays

    def host(self, t: Tensor) -> np.ndarray:
        return self.backend.to_host(t.data)

    def flat(self, outputs: Sequence[Tensor]) -> np.ndarray:
        return np.concatenate([self.host(output).ravel() for output in outputs])

    def like(self, t: Tensor) -> Tensor:
        """Random numbers in the shape and type of t."""
        return leaf(self.backend.asarray(signs_apart_from_zero(self.rng, t.shape).astype(t.dtype)), t)

    def unflatten(self, vector: np.ndarray, like: Sequence[Tensor]) -> list[Tensor]:
        parts = np.split(vector, np.cumsum([t.size for t in like])[:-1])
        return [
            leaf(self.backend.asarray(part.reshape(t.shape).astype(t.dtype)), t)
            for part, t in zip(parts, like, strict=True)
        ]


def _relative(a: Any, b: np.ndarray, scale: float, noise: Any, rtol: float) -> np.ndarray:
    """|a - b| relative to the greatest of scale, |a| and |b|, enlarged so that noise alone stays below rtol."""
    error = np.abs(a - b)
    size = np.maximum(np.maximum(np.abs(a), np.abs(b)), scale) + noise / rtol
    return np.divide(error, size, out=np.zeros_like(error), where=error > 0)


def leaf(data: Any, like: Tensor) -> Tensor:
    return Tensor(data, like.backend, requires_grad=True)


def as_tuple(outputs: Any) -> tuple[Any, ...]:
    return tuple(outputs) if isinstance(outputs, (tuple, list)) else (outputs,)


class _RequireAnalytic:
    """Observes complex arithmetic: an operation that drops the imaginary part has no complex step."""

    def before(self, function: Function, inputs: Sequence[Tensor]) -> None:
        """Nothing to see yet."""

    def after(self, function: Function, inputs: Sequence[Tensor], output: Tensor) -> None:
        if output.dtype.kind != "c" and any(t.dtype.kind == "c" for t in inputs):
            raise TypeError(f'{function.name} is not analytic: method="complex" cannot check it, use "difference"')


@contextmanager
def _complex_arithmetic(backend: Any) -> Iterator[None]:
    """The reference kernels, which take complex arrays, and a watch over operations that do not."""
    kernels, backend.kernels = backend.kernels, ReferenceKernels(backend.xp)
    try:
        with backend.observing(_RequireAnalytic()):
            yield
    finally:
        backend.kernels = kernels
