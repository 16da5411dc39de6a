"""Reverse-mode differentiation: Tensor, Function, and the walk back through the graph.

A Function turns arrays into an array (`forward`) and knows the rule that carries the cotangent of its output back
to its inputs (`backward`), itself written in Tensor operations, so a gradient can be differentiated again.
An output knows the Function that made it (`creator`), the Function knows its inputs: that is the graph.
References point backwards only (a Function refers to its output weakly), so there are no cycles, and a graph goes
away with the last Tensor that stands at its end.
"""

from __future__ import annotations

import heapq
import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from .backend import Backend, DeviceError, get_backend


class GraphError(RuntimeError):
    """A backward pass that cannot be right: its graph was freed, or an array it needs was written over."""


class ShapeError(ValueError):
    """Shapes that do not fit together. Inside a Module the message names the layer by its path."""

    def __init__(self, message: str):
        super().__init__(message)
        self.message, self.path = message, ""

    def inside(self, name: str) -> None:
        """Put the name of the module around in front of the path."""
        self.path = f"{name}.{self.path}" if self.path and name else name or self.path

    def __str__(self) -> str:
        return f"layer '{self.path}': {self.message}" if self.path else self.message


class Version:
    """How often the memory behind a Tensor was written over, and by whom last. Views share it."""

    __slots__ = ("count", "writer")

    def __init__(self) -> None:
        self.count, self.writer = 0, ""

    def bump(self, writer: str) -> None:
        self.count += 1
        self.writer = writer

    def apart(self) -> Version:
        """Of as many writes, for a Tensor whose values move to memory of their own."""
        version = Version()
        version.count, version.writer = self.count, self.writer
        return version


class _GradientMode(threading.local):
    enabled = True


_mode = _GradientMode()  # every thread's own


@contextmanager
def _gradient_mode(enabled: bool) -> Iterator[None]:
    previous, _mode.enabled = _mode.enabled, enabled
    try:
        yield
    finally:
        _mode.enabled = previous


def no_grad():
    """Context manager (or decorator): operations inside are not recorded."""
    return _gradient_mode(False)


class Tensor:
    """An array on a device that remembers how it was computed.

    data: the array (NumPy or CuPy); grad: the Tensor that `backward` left here (leaves only); requires_grad:
    whether operations on it are recorded. `==` compares elements, hashing goes by identity.
    """

    __slots__ = ("__weakref__", "_owner", "_requires_grad", "backend", "creator", "data", "grad", "name", "version")
    __array_ufunc__ = None  # a NumPy array on the left of an operator leaves the operation to the Tensor
    __hash__ = object.__hash__

    def __init__(self, data: Any, backend: Backend, requires_grad: bool = False, version: Version | None = None):
        self.data = data if data.shape else backend.xp.asarray(data)  # NumPy makes scalars of what has no axes
        self.backend = backend
        self.grad: Tensor | None = None
        self.creator: Function | None = None
        self.name = ""
        self._owner: weakref.ref | None = None
        self.version = version or Version()
        self._requires_grad = False
        if requires_grad:
            self.requires_grad = True

    # ------------------------------------------------------------ what it is

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    @property
    def dtype(self) -> Any:
        return self.data.dtype

    @property
    def ndim(self) -> int:
        return self.data.ndim

    @property
    def size(self) -> int:
        return self.data.size

    @property
    def device(self) -> str:
        return self.backend.device

    @property
    def owner(self) -> Any:
        """The optimizer whose memory this Tensor is a view of; None where there is none, or no longer."""
        return self._owner() if self._owner else None

    @owner.setter
    def owner(self, optimizer: Any) -> None:
        self._owner = weakref.ref(optimizer)

    @property
    def requires_grad(self) -> bool:
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if self.creator is not None:
            raise GraphError(
                "requires_grad can be set on leaves only; this Tensor was computed by "
                f"{self.creator.name}: use detach() for a leaf that shares its memory"
            )
        if value and self.data.dtype.kind not in "fc":  # complex: the complex-step test, nothing else makes one
            raise TypeError(f"only floating-point Tensors can require gradients, this one is {self.data.dtype}")
        self._requires_grad = bool(value)

    # ---------------------------------------------------------- taking it out

    def detach(self) -> Tensor:
        """A leaf over the same memory, outside the graph."""
        return Tensor(self.data, self.backend, version=self.version)

    def numpy(self) -> np.ndarray:
        """A copy of the values on the host."""
        return self.backend.to_host(self.data)

    def item(self) -> Any:
        """The value of a Tensor of one element, as a Python number."""
        if self.size != 1:
            raise ShapeError(f"item() takes a Tensor of one element, this one has shape {self.shape}")
        return self.data.item()

    def assign(self, values: Any, writer: str = "assign") -> None:
        """Write values into the memory of this Tensor, outside the graph; backward passes notice."""
        values = values.data if isinstance(values, Tensor) else values
        values = values if hasattr(values, "shape") else np.asarray(values)
        if values.shape != self.shape:
            raise ShapeError(f"cannot write values of shape {values.shape} into a Tensor of shape {self.shape}")
        self.data[...] = self.backend.asarray(values)
        self.version.bump(writer)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if self.backend.xp is not np:
            raise DeviceError(f"a Tensor on {self.device} does not become a NumPy array by itself: use .numpy()")
        return np.array(self.data, dtype=dtype)

    def __reduce__(self):
        """To copy or pickle a leaf: its values, without gradient or optimizer."""
        if self.creator is not None:
            raise GraphError("a Tensor inside a graph cannot be copied or pickled: use detach()")
        return _restored, (type(self), self.numpy(), self.device, self._requires_grad, self.name)

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        return bool(self.item())

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a Tensor without axes")
        return self.shape[0]

    def __repr__(self) -> str:
        values = np.array2string(self.numpy(), separator=", ", threshold=60, prefix="tensor(")
        facts = [f"dtype={self.dtype}"] if self.dtype != np.float32 else []
        facts += [f"device={self.device!r}"] if self.device != "cpu" else []
        facts += ["requires_grad=True"] if self.creator is None and self.requires_grad else []
        facts += [f"creator={self.creator.name}"] if self.creator is not None else []
        return f"tensor({', '.join([values, *facts])})"

    # ---------------------------------------------------------------- walking

    def backward(
        self,
        gradient: Tensor | None = None,
        retain_graph: bool = False,
        inputs: Tensor | Iterable[Tensor] | None = None,
    ) -> None:
        """Add d self / d leaf into `leaf.grad` of every leaf that requires it (or only of `inputs`).

        gradient: the cotangent of self (may be left out where self has one element). The graph is freed on the way
        unless retain_graph is set.
        """
        if not self._requires_grad:
            raise GraphError("backward of a Tensor that does not depend on anything with requires_grad=True")
        wanted = None if inputs is None else _leaves((inputs,) if isinstance(inputs, Tensor) else inputs)
        cotangents = _walk((self,), (_seed(self, gradient),), wanted, False, retain_graph)
        for leaf, cotangent in _unshared(cotangents, gradient):
            leaf.grad = cotangent if leaf.grad is None else leaf.grad + cotangent

    if TYPE_CHECKING:  # attached by minigan.ops, which stands above this file

        def __add__(self, other: Any) -> Tensor: ...
        def __radd__(self, other: Any) -> Tensor: ...
        def __sub__(self, other: Any) -> Tensor: ...
        def __rsub__(self, other: Any) -> Tensor: ...
        def __mul__(self, other: Any) -> Tensor: ...
        def __rmul__(self, other: Any) -> Tensor: ...
        def __truediv__(self, other: Any) -> Tensor: ...
        def __rtruediv__(self, other: Any) -> Tensor: ...
        def __pow__(self, other: Any) -> Tensor: ...
        def __rpow__(self, other: Any) -> Tensor: ...
        def __matmul__(self, other: Any) -> Tensor: ...
        def __rmatmul__(self, other: Any) -> Tensor: ...
        def __neg__(self) -> Tensor: ...
        def __abs__(self) -> Tensor: ...
        def __lt__(self, other: Any) -> Tensor: ...
        def __le__(self, other: Any) -> Tensor: ...
        def __gt__(self, other: Any) -> Tensor: ...
        def __ge__(self, other: Any) -> Tensor: ...
        def __eq__(self, other: Any) -> Tensor: ...  # type: ignore[override]
        def __ne__(self, other: Any) -> Tensor: ...  # type: ignore[override]
        def __getitem__(self, index: Any) -> Tensor: ...
        def __iter__(self) -> Iterator[Tensor]: ...
        @property
        def T(self) -> Tensor: ...
        def __getattr__(self, name: str) -> Any: ...  # the methods of minigan.ops: x.exp(), x.sum(axis=0) ...


def _restored(kind: type[Tensor], values: np.ndarray, device: str, requires_grad: bool, name: str) -> Tensor:
    backend, t = get_backend(device), kind.__new__(kind)
    Tensor.__init__(t, backend.asarray(values), backend, requires_grad)
    t.name = name
    return t


def tensor(data: Any, requires_grad: bool = False, dtype: Any = None, device: str | None = None) -> Tensor:
    """A Tensor with a copy of `data`: Python floats become float32, arrays keep their dtype.

    data: a number, nested lists, a NumPy array, an array of the device, or a Tensor.
    """
    backend = get_backend(device)
    if isinstance(data, Tensor):
        if device is None:
            backend = data.backend
        data = data.data if data.backend is backend else data.numpy()
    if dtype is None and not hasattr(data, "dtype"):
        data = np.asarray(data)
        dtype = np.float32 if data.dtype.kind == "f" else data.dtype
    array = backend.asarray(data, dtype=dtype)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"a Tensor holds floats, integers or booleans, got {array.dtype}")
    foreign = hasattr(data, "__array__") and not isinstance(data, np.ndarray)  # may give an array that it keeps
    shared = array is data or array.base is not None or foreign  # a base: the view of an array's subclass
    return Tensor(array.copy() if shared else array, backend, requires_grad)


class Function:
    """One differentiable operation. Call an instance on Tensors: `Tanh()(x)`.

    Subclasses give `forward(self, *arrays) -> array` and `backward(self, cotangent, needs) -> tuple`, which returns a
    Tensor (or None) for every input: the sum over outputs of cotangent * d output / d input. `needs[i]` says whether
    input i wants one. The rule reads `self.inputs` and `self.output`, Tensors of the graph; an array may be kept from
    `forward` only if it is locally constant in the inputs (a mask, an argmax), or as a cache that speeds up a Function
    whose own rule reads Tensors alone.
    """

    reads: tuple[int, ...] | None = None  # the inputs whose values the rule reads; None: all of them
    view = False  # whether the output shares memory with input 0

    inputs: tuple[Tensor, ...] = ()  # empty: not recorded, or released
    needs: tuple[bool, ...]
    generation: int
    backend: Backend
    kernels: Any

    def forward(self, *arrays: Any) -> Any:
        raise NotImplementedError(f"{self.name} has no forward(self, *arrays)")

    def backward(self, cotangent: Tensor, needs: tuple[bool, ...]) -> tuple[Tensor | None, ...]:
        raise NotImplementedError(f"{self.name} has no backward(self, cotangent, needs)")

    @property
    def name(self) -> str:
        return type(self).__name__

    def __call__(self, *inputs: Tensor) -> Tensor:
        first = inputs[0]
        try:
            backend = first.backend
            for other in inputs:
                if other.backend is not backend or other.data.dtype is not first.data.dtype:
                    _check_match(self, inputs)
        except AttributeError:  # an input that is no Tensor: the check says which
            _check_match(self, inputs)
            raise
        self.backend, self.kernels = backend, backend.kernels
        if backend.index is not None:
            backend.use()
        if backend.observers:
            for observer in backend.observers:
                observer.before(self, inputs)
        array = self.forward(*[t.data for t in inputs])
        if not hasattr(array, "dtype"):
            raise TypeError(f"{self.name}.forward must return an array of {backend.device}, got {type(array).__name__}")
        output = Tensor(array, backend, version=first.version if self.view else None)
        if _mode.enabled:
            needs = tuple([t._requires_grad for t in inputs])
            if True in needs:
                self._record(inputs, needs, output)
        if backend.observers:
            for observer in backend.observers:
                observer.after(self, inputs, output)
        return output

    def _record(self, inputs: tuple[Tensor, ...], needs: tuple[bool, ...], output: Tensor) -> None:
        if self.inputs:
            raise GraphError(f"this {self.name} already stands in a graph: make a new instance for every call")
        self.inputs, self.needs = inputs, needs
        self._versions = [t.version.count for t in inputs]
        self._output, self._output_version = weakref.ref(output), output.version.count
        self.generation = 1 + max([t.creator.generation if t.creator is not None else 0 for t in inputs])
        output.creator = self
        output._requires_grad = True
        if self.backend.path:
            self.path = ".".join(self.backend.path)

    @property
    def output(self) -> Tensor:
        """The output, as a Tensor of the graph."""
        output = self._output()
        if output is None:
            raise GraphError(f"the output of {self.name} is gone: it can be read inside a backward pass only")
        if output.version.count != self._output_version:
            raise _written_over(self, "its output", output)
        return output

    def constant(self, array: Any) -> Tensor:
        """A Tensor outside the graph, over an array of this Function's device."""
        return Tensor(array, self.backend)

    def _check_versions(self) -> None:
        for index in range(len(self.inputs)) if self.reads is None else self.reads:
            if self.inputs[index].version.count != self._versions[index]:
                raise _written_over(self, f"its input {index}", self.inputs[index])

    def _release(self) -> None:
        """Let go of everything that was kept for the backward pass."""
        generation = self.generation
        self.__dict__.clear()
        self.generation = generation


def _check_match(function: Function, inputs: Sequence[Tensor]) -> None:
    for t in inputs:
        if not isinstance(t, Tensor):
            raise TypeError(f"{function.name} takes Tensors, got {type(t).__name__}: wrap it with mg.tensor(...)")
    devices = list(dict.fromkeys(t.device for t in inputs))
    if len(devices) > 1:
        raise DeviceError(f"{function.name} got Tensors on {' and '.join(devices)}: move one with .to(device)")
    dtypes = list(dict.fromkeys(t.dtype for t in inputs if t.dtype.kind != "c"))
    if len(dtypes) > 1 and any(dtype.kind == "f" for dtype in dtypes):
        names = " and ".join(map(str, dtypes))
        raise TypeError(f"{function.name} got Tensors of {names}: convert one with .astype(dtype)")


def _written_over(function: Function, what: str, tensor: Tensor) -> GraphError:
    name = f" '{tensor.name}'" if tensor.name else ""
    return GraphError(
        f"the backward pass of {function.name} needs {what}{name} {tensor.shape}, which {tensor.version.writer} "
        "wrote over after the forward pass: run backward before that, or the forward pass again after it"
    )


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    create_graph: bool = False,
    retain_graph: bool | None = None,
) -> tuple[Tensor, ...]:
    """d(sum of outputs * grad_outputs) / d input, one Tensor for every input; zeros where no output depends on it.

    With create_graph the gradients are Tensors of the graph and can be differentiated again.
    """
    outputs = (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    for index, t in enumerate(inputs):
        if not t._requires_grad:
            raise GraphError(f"grad: input {index} {t.shape} does not require a gradient: set requires_grad=True")
    if not _mode.enabled and not any(t._requires_grad for t in outputs):
        raise GraphError("grad: inside no_grad nothing was recorded that the outputs depend on")
    given: Sequence[Tensor | None]
    if grad_outputs is None:
        given = [None] * len(outputs)
    else:
        given = (grad_outputs,) if hasattr(grad_outputs, "dtype") else tuple(grad_outputs)  # type: ignore[assignment]
    if len(given) != len(outputs):
        raise ValueError(f"grad: {len(outputs)} outputs, but {len(given)} grad_outputs")
    seeds = [_seed(output, gradient) for output, gradient in zip(outputs, given, strict=True)]
    retain = create_graph if retain_graph is None else retain_graph
    cotangents = _walk(outputs, seeds, dict.fromkeys(inputs), create_graph, retain)
    return tuple(cotangents[t] if t in cotangents else _full(t, 0) for t in inputs)


def _full(like: Tensor, value: float) -> Tensor:
    return Tensor(like.backend.xp.full(like.shape, value, like.dtype), like.backend)


def _seed(output: Tensor, gradient: Tensor | None) -> Tensor:
    if gradient is None:
        if output.size != 1:
            raise ShapeError(
                f"a Tensor of shape {output.shape} needs a gradient (its cotangent) of that shape; "
                "only a Tensor of one element can do without"
            )
        return _full(output, 1)
    if not isinstance(gradient, Tensor):
        raise TypeError(f"the gradient must be a Tensor, got {type(gradient).__name__}: wrap it with mg.tensor(...)")
    if gradient.shape != output.shape or gradient.dtype != output.dtype:
        raise ShapeError(
            f"the gradient must be {output.dtype} of shape {output.shape} as the output is, "
            f"got {gradient.dtype} of shape {gradient.shape}"
        )
    return gradient


def _leaves(inputs: Iterable[Tensor]) -> dict[Tensor, None]:
    wanted = dict.fromkeys(inputs)
    for t in wanted:
        if t.creator is not None or not t._requires_grad:
            raise GraphError("backward(inputs=...) takes leaves with requires_grad=True")
    return wanted


def _walk(
    outputs: Sequence[Tensor],
    seeds: Sequence[Tensor],
    wanted: dict[Tensor, None] | None,
    create_graph: bool,
    retain_graph: bool,
) -> dict[Tensor, Tensor]:
    """Carry cotangents from the outputs to the wanted Tensors (None: all leaves), latest Function first.

    A Function's generation is one more than its inputs' greatest, so by that order every Function has received
    all of its cotangent before it is asked.
    """
    leading = None if wanted is None else _leading_to(wanted, outputs)
    cotangents: dict[Tensor, Tensor] = {}
    heap: list[tuple[int, int, Function]] = []
    order = count()

    def receive(t: Tensor, cotangent: Tensor) -> None:
        if t in cotangents:
            cotangents[t] = cotangents[t] + cotangent
            return
        cotangents[t] = cotangent
        if t.creator is not None and (leading is None or t.creator in leading):
            _check_alive(t.creator)
            heapq.heappush(heap, (-t.creator.generation, next(order), t.creator))

    with _gradient_mode(create_graph):
        for root, seed in zip(outputs, seeds, strict=True):
            if root._requires_grad:
                receive(root, seed)
        while heap:
            function = heapq.heappop(heap)[2]
            output = function._output()
            assert output is not None  # a Tensor further on, or the caller, holds it
            cotangent = cotangents[output] if wanted is not None and output in wanted else cotangents.pop(output)
            inputs, needs = function.inputs, function.needs
            if leading is not None and wanted is not None:
                needs = tuple([n and (t in wanted or t.creator in leading) for t, n in zip(inputs, needs, strict=True)])
            function._check_versions()
            outer, function.backend.rule = function.backend.rule, function
            try:
                gradients = function.backward(cotangent, needs)
                if not isinstance(gradients, tuple) or len(gradients) != len(inputs):
                    raise TypeError(f"the rule of {function.name} must return a tuple of {len(inputs)}, one an input")
                for t, needed, gradient in zip(inputs, needs, gradients, strict=True):
                    if needed and gradient is not None:
                        if not isinstance(gradient, Tensor):
                            kind = type(gradient).__name__
                            raise TypeError(
                                f"the rule of {function.name} must return Tensors, got {kind}: write it in "
                                "Tensor operations, or wrap a constant with self.constant(array)"
                            )
                        if gradient.data.shape != t.data.shape or gradient.data.dtype != t.data.dtype:
                            raise _does_not_fit(function, gradient, t)
                        receive(t, gradient)
            finally:
                function.backend.rule = outer
            if not retain_graph:
                function._release()
            del output, inputs, gradients, function  # let freed activations go before the next rule runs
    if wanted is None:
        return cotangents
    return {t: cotangents[t] for t in wanted if t in cotangents}


def _does_not_fit(function: Function, gradient: Tensor, t: Tensor) -> ShapeError:
    return ShapeError(
        f"the rule of {function.name} returned {gradient.dtype} {gradient.shape} for an input {t.dtype} {t.shape}"
    )


def _leading_to(wanted: dict[Tensor, None], outputs: Sequence[Tensor]) -> set[Function | None]:
    """The Functions behind the outputs through which a wanted Tensor is reached."""
    seen: set[Function] = set()
    stack = [t.creator for t in outputs if t.creator is not None]
    while stack:
        function = stack.pop()
        if function not in seen:
            seen.add(function)
            _check_alive(function)
            stack += [t.creator for t in function.inputs if t.creator is not None]
    leading: set[Function | None] = set()
    for function in sorted(seen, key=attrgetter("generation")):
        for t in function.inputs:
            if t in wanted or t.creator in leading:
                leading.add(function)
                break
    return leading


def _check_alive(function: Function) -> None:
    if not function.inputs:
        raise GraphError(
            f"the graph behind this Tensor was freed by an earlier backward pass (at {function.name}): "
            "pass retain_graph=True there, or run the forward pass again"
        )


def _unshared(cotangents: dict[Tensor, Tensor], gradient: Tensor | None) -> Iterator[tuple[Tensor, Tensor]]:
    """Every leaf with a gradient whose memory is its own (rules may hand one array to several inputs)."""
    owners = set() if gradient is None else {id(_owner(gradient.data))}
    for leaf, cotangent in cotangents.items():
        array = cotangent.data
        owner = id(_owner(array))
        if owner in owners or 0 in array.strides:
            array = array.copy()
        owners.add(owner)
        yield leaf, Tensor(array, cotangent.backend)


def _owner(array: Any) -> Any:
    return array if array.base is None else array.base
