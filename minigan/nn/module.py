"""Module: parameters, buffers and submodules under ordered names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..autograd import GraphError, ShapeError, Tensor
from ..backend import Backend, get_backend


class Parameter(Tensor):
    """A Tensor that a Module learns: assigned to an attribute, it is listed among the Module's parameters.

    data: an array, or a Tensor, whose memory it shares.
    """

    __slots__ = ()

    def __init__(self, data: Any, backend: Any = None):
        version = None
        if isinstance(data, Tensor):
            data, backend, version = data.data, data.backend, data.version
        super().__init__(data, backend or get_backend("cpu"), True, version)


class Module:
    """The base of all layers and networks: subclasses set attributes in `__init__` and define `forward`.

    Parameters, buffers (`register_buffer`: state that is not learnt) and Modules assigned to attributes are found
    under the attribute's name, in order of assignment; names of nested ones are joined with dots, as in PyTorch.
    """

    training: bool

    def __init__(self) -> None:
        self.training = True
        self._name = ""
        self._buffer_names: list[str] = []

    def forward(self, *inputs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no forward(self, ...)")

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        watched = (
            inputs[0].backend if inputs and isinstance(inputs[0], Tensor) and inputs[0].backend.observers else None
        )
        if watched:
            watched.path.append(self._name or type(self).__name__)
        try:
            return self.forward(*inputs, **options)
        except ShapeError as error:
            error.inside(self._name)
            raise
        finally:
            if watched:
                watched.path.pop()

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Module):
            if "_buffer_names" not in self.__dict__:
                raise GraphError(f"{type(self).__name__}.__init__ must call super().__init__() before it sets {name!r}")
            value._name = name
        object.__setattr__(self, name, value)

    def register_buffer(self, name: str, value: Tensor | int) -> None:
        """State that is saved with the parameters but not learnt: a Tensor, or a counter."""
        if not isinstance(value, Tensor | int):
            kind = type(value).__name__
            raise TypeError(f"buffer {name!r} must be a Tensor or an int, got {kind}: wrap it with mg.tensor(...)")
        self._buffer_names.append(name)
        setattr(self, name, value)

    # ----------------------------------------------------------------- listing

    def children(self) -> Iterator[tuple[str, Module]]:
        """The Modules directly inside, with their names."""
        return ((name, value) for name, value in self.__dict__.items() if isinstance(value, Module))

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This Module (under the name "") and all inside."""
        yield prefix, self
        for name, child in self.children():
            yield from child.named_modules(f"{prefix}.{name}" if prefix else name)

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        seen = set()
        for path, module in self.named_modules():
            for name, value in module.__dict__.items():
                if isinstance(value, Parameter) and value not in seen:
                    seen.add(value)
                    yield f"{path}.{name}" if path else name, value

    def parameters(self) -> list[Parameter]:
        return [parameter for _, parameter in self.named_parameters()]

    def named_buffers(self) -> Iterator[tuple[str, Tensor | int]]:
        seen: set[Any] = set()
        for path, module in self.named_modules():
            for name in module._buffer_names:
                value = getattr(module, name)
                one = value if isinstance(value, Tensor) else (module, name)  # equal counters are not the same
                if one not in seen:
                    seen.add(one)
                    yield f"{path}.{name}" if path else name, value

    def buffers(self) -> list[Tensor | int]:
        return [value for _, value in self.named_buffers()]

    # ------------------------------------------------------------------- state

    def _named_state(self) -> Iterator[tuple[str, Module, str]]:
        """Every name of the state_dict, with the Module and the attribute it stands for."""
        for path, module in self.named_modules():
            parameters = [name for name, value in module.__dict__.items() if isinstance(value, Parameter)]
            for name in (*parameters, *module._buffer_names):
                yield f"{path}.{name}" if path else name, module, name

    def state_dict(self) -> dict[str, Any]:
        """Copies of all parameters and buffers as NumPy arrays, under PyTorch's names and in PyTorch's order."""
        state = {}
        for key, module, name in self._named_state():
            value = getattr(module, name)
            state[key] = value.numpy() if isinstance(value, Tensor) else get_backend("cpu").xp.asarray(value)
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Write parameters and buffers in place, in their own dtypes; names, shapes and kinds of numbers are checked
        before that."""
        places = [(key, module, name, getattr(module, name)) for key, module, name in self._named_state()]
        own = {key for key, *_ in places}
        missing, unexpected = sorted(own - state.keys()), sorted(state.keys() - own)
        if missing or unexpected:
            raise ValueError(f"state_dict does not fit: missing names {missing}, unexpected names {unexpected}")
        for key, _, _, value in places:
            shape, kind = (value.shape, value.dtype.kind) if isinstance(value, Tensor) else ((), "i")
            kinds = {"f": "fiu", "b": "b"}.get(kind, "iu")
            if not hasattr(state[key], "dtype"):
                raise TypeError(f"state_dict does not fit: {key} must be an array, got {type(state[key]).__name__}")
            if tuple(state[key].shape) != shape:
                raise ShapeError(f"state_dict does not fit: {key} has shape {shape}, got {tuple(state[key].shape)}")
            if state[key].dtype.kind not in kinds:
                raise TypeError(f"state_dict does not fit: {key} cannot hold values of dtype {state[key].dtype}")
        for key, module, name, value in places:
            if isinstance(value, Tensor):
                value.assign(state[key], writer="load_state_dict")
            else:
                setattr(module, name, int(state[key]))

    # -------------------------------------------------------------------- mode

    def train(self, mode: bool = True) -> Module:
        """Training mode (batch statistics, dropout) for this Module and all inside."""
        for _, module in self.named_modules():
            module.training = mode
        return self

    def eval(self) -> Module:
        """Evaluation mode: running statistics, no dropout."""
        return self.train(False)

    def requires_grad_(self, value: bool = True) -> Module:
        """Let all parameters take part in gradients, or freeze them."""
        for parameter in self.parameters():
            parameter.requires_grad = value
        return self

    def to(self, device: str | Backend) -> Module:
        """Move all parameters and buffers to a device (before an optimizer takes them)."""
        backend = get_backend(device)
        return self._rebind(lambda t: backend.asarray(t.numpy()) if backend is not t.backend else t.data, backend)

    def astype(self, dtype: Any) -> Module:
        """Convert all floating-point parameters and buffers (before an optimizer takes them)."""
        return self._rebind(lambda t: t.data.astype(dtype) if t.dtype.kind == "f" else t.data, None)

    def _rebind(self, change: Any, backend: Any) -> Module:
        tensors = [*self.parameters(), *(b for b in self.buffers() if isinstance(b, Tensor))]
        for t in tensors:
            if t.owner is not None:
                raise GraphError(
                    f"the parameters belong to an optimizer ({type(t.owner).__name__}), whose memory they share: "
                    "move or convert the module before the optimizer is made"
                )
        for t in tensors:
            t.data, t.grad, t.version = change(t), None, t.version.apart()
            t.backend = backend or t.backend
        return self

    def __repr__(self) -> str:
        lines = [f"  ({name}): " + repr(child).replace("\n", "\n  ") for name, child in self.children()]
        inside = "\n" + "\n".join(lines) + "\n" if lines else self.extra_repr()
        return f"{type(self).__name__}({inside})"

    def extra_repr(self) -> str:
        """What stands between the parentheses when the Module is printed."""
        return ""
