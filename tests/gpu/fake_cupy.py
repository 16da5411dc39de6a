"""A stand-in for the `cupy` module on NumPy memory: the wall between host and device, and what costs time there.

It knows only what it lists, and refuses the rest. Host arrays in device operations and implicit conversions raise, as
in CuPy; results are C-ordered, as in CuPy; uninitialised memory is NaN; CUDA kernels (RawModule) really run, through
the shim. `counters` counts "launch" (kernels), "h2d" and "d2h" (copies), and "wait" (the host waiting for the device).
Where `computing` is False, CUDA kernels and matrix products are counted only, and results mean nothing.
`memory.capacity` is how many bytes the devices have together.

While a stream captures, work is not done but recorded, results are NaN (or all bits set), and copies from or to the
host, waits and CuPy's own matrix products are refused. A launch of the graph does the work, in the same memory.
"""

from __future__ import annotations

import collections
import contextlib
import copy
import operator
import sys
import types
import weakref

import numpy as np
import shim
from numpy.lib.mixins import NDArrayOperatorsMixin

counters: collections.Counter[str] = collections.Counter()
computing = True
__version__ = "14.stand-in"

DEVICES = 2


def _names(text: str) -> set[str]:
    return set(text.split())


ELEMENTWISE = _names("""
    add subtract multiply divide true_divide negative positive power exp log log1p expm1 sqrt square absolute abs sign
    tanh sin cos maximum minimum floor ceil rint isnan isfinite isinf equal not_equal less less_equal greater
    greater_equal logical_and logical_or logical_not logical_xor bitwise_and bitwise_or bitwise_xor invert left_shift
    right_shift floor_divide remainder reciprocal where clip conjugate real imag hypot arctan2
""")
ONE_LAUNCH = ELEMENTWISE | _names("""
    sum prod max min amax amin mean any all argmax argmin cumsum stack concatenate arange linspace eye take repeat
""")
VIEWS = _names("transpose broadcast_to expand_dims swapaxes moveaxis squeeze flip")
LAUNCHES = dict.fromkeys(ONE_LAUNCH, 1) | dict.fromkeys(VIEWS, 0) | {"pad": 6, "var": 3, "std": 4, "tile": 2}
METHODS = _names("sum prod max min mean any all argmax argmin clip transpose swapaxes squeeze take repeat var std")
METADATA = _names("shape dtype ndim size strides nbytes itemsize flags")
TYPES = _names("""
    float16 float32 float64 complex64 complex128 int8 int16 int32 int64 uint8 uint16 uint32 uint64 bool_ pi inf nan
    newaxis dtype integer floating result_type promote_types finfo iinfo issubdtype
""")


class ndarray(NDArrayOperatorsMixin):
    """An array on a device."""

    __array_priority__ = 100

    def __init__(self, *args, **kwargs):
        raise TypeError("make device arrays by empty, zeros, asarray")

    def __array__(self, dtype=None, copy=None):
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy array."
        )

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        if method != "__call__":
            raise TypeError(f"the stand-in does not know {ufunc.__name__}.{method}")
        if ufunc is np.matmul:
            return matmul(*inputs, **kwargs)
        return _function(ufunc.__name__)(*inputs, **kwargs)

    def __array_function__(self, function, types_, args, kwargs):
        raise TypeError(f"numpy.{function.__name__}() was given a device array; use the device's array module")

    def __getattr__(self, name):
        if name in METADATA:
            return getattr(self._host, name)
        if name in METHODS:
            return lambda *args, **kwargs: _call(name, getattr(self._host, name), args, kwargs, self)
        raise AttributeError(f"the stand-in for cupy.ndarray does not know {name!r}")

    @property
    def T(self):
        return _on_device(self._host.T, self)

    @property
    def real(self):
        return _on_device(self._host.real, self)

    @property
    def imag(self):
        return _on_device(self._host.imag, self)

    @property
    def data(self):
        return types.SimpleNamespace(ptr=self._host.ctypes.data)

    def get(self, stream=None, order="C", out=None):
        _host_only("a copy to the host")
        counters["d2h"] += 1
        counters["wait"] += 1
        return self._host.copy(order)

    def item(self, *index):
        _host_only("a copy to the host")
        counters["d2h"] += 1
        counters["wait"] += 1
        return self._host.item(*index)

    def tolist(self):
        return self.get().tolist()

    def __float__(self):
        return float(self.item())

    def __int__(self):
        return int(self.item())

    def __index__(self):
        return operator.index(self.item())

    def __bool__(self):
        return bool(self.item())

    def __complex__(self):
        return complex(self.item())

    def __len__(self):
        return len(self._host)

    def __iter__(self):
        raise TypeError("iterating over a device array goes one element at a time; index it instead")

    def __repr__(self):
        return f"device array of shape {self.shape} and dtype {self.dtype}"

    def reshape(self, *shape, order="C"):
        return self._viewed(lambda: self._host.reshape(*shape, order=order))

    def ravel(self, order="C"):
        return self._viewed(lambda: self._host.ravel(order))

    def view(self, dtype=None):
        return self._viewed(lambda: self._host.view() if dtype is None else self._host.view(dtype))

    def _viewed(self, view):
        """A view, or a copy where there is no such view."""
        host = view()
        if self.size == 0 or np.shares_memory(host, self._host):
            return _on_device(host, self)
        counters["launch"] += 1
        return _on_device(_computed(view), self)

    def astype(self, dtype, order="K", casting=None, subok=None, copy=True):
        if not copy and self.dtype == np.dtype(dtype):
            return self
        counters["launch"] += 1
        return _on_device(_computed(lambda: self._host.astype(dtype, order=order)), self)

    def copy(self, order="C"):
        counters["launch"] += 1
        return _on_device(_computed(lambda: self._host.copy(order)), self)

    def fill(self, value):
        counters["launch"] += 1
        value = _unwrapped(value, "fill")
        do(lambda: self._host.fill(value))

    def __getitem__(self, index):
        keys = index if isinstance(index, tuple) else (index,)
        if any(isinstance(key, ndarray) and key.dtype == np.bool_ for key in keys):
            counters["wait"] += 1  # how many elements there are is known to the device alone
        index = _unwrapped(index, "index")
        if not any(isinstance(key, (ndarray, list)) for key in keys):
            return _on_device(self._host[index], self)
        counters["launch"] += 1
        return _on_device(_computed(lambda: self._host[index]), self)

    def __setitem__(self, index, value):
        counters["launch"] += 1
        index = _unwrapped(index, "index")
        for key in index if isinstance(index, tuple) else (index,):
            if isinstance(key, np.ndarray) and key.dtype != np.bool_ and np.unique(key).size != key.size:
                raise ValueError("duplicate indices in an assignment: undefined on CuPy, use add.at")
        value = _unwrapped(value, "assignment")
        do(lambda: self._host.__setitem__(index, value))


# ------------------------------------------------------------------ doing and recording

_recording: list | None = None  # the work of the graph that is being captured
_spoilt = False  # by something that cannot be captured
_reserved: list = []  # memory that graphs use: their pool keeps it


def do(work):
    """Work of the device: done at once, or recorded."""
    if _recording is None:
        work()
    else:
        _recording.append(work)


def _computed(compute) -> np.ndarray:
    """What compute() gives, in memory of its own; a graph computes it anew at every launch."""
    host = _fresh(compute())
    if _recording is not None:
        shim.poison(host)
        _recording.append(lambda: np.copyto(host, compute()))
    return host


def _host_only(what):
    global _spoilt
    if _recording is not None:
        _spoilt = True
        raise RuntimeError(f"cudaErrorStreamCaptureUnsupported: {what} while a graph is captured")


# ------------------------------------------------------------------ wrapping and calling


def _on_device(host, viewed: ndarray | None = None) -> ndarray:
    """A device array over NumPy memory, which may be that of another device array."""
    array = object.__new__(ndarray)
    array._host = np.asarray(host)
    array.base = None
    array.device = cuda.Device()
    if viewed is not None:
        array.device = viewed.device
        if np.may_share_memory(array._host, viewed._host):
            array.base = viewed if viewed.base is None else viewed.base
    return array


def _unwrapped(value, where):
    if isinstance(value, ndarray):
        if value.device.id != _current_device:
            raise ValueError(
                f"Array device must be same as the current device: array device = {value.device.id} while current ="
                f" {_current_device} ({where})"
            )
        return value._host
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}: a host array was passed to {where} on the device")
    if isinstance(value, (tuple, list)):
        return type(value)(_unwrapped(each, where) for each in value)
    return value


def _fresh(host) -> np.ndarray:
    """A result in memory of its own, in the order that it has."""
    host = np.asarray(host)
    axes = sorted(range(host.ndim), key=lambda axis: -host.strides[axis])
    out = _allocated([host.shape[axis] for axis in axes], host.dtype).transpose(np.argsort(axes))
    out[...] = host
    return out


def _call(name, function, args, kwargs, self=None):
    """A NumPy function (or a method of self) as a function of the device."""
    viewed = self if self is not None else next((argument for argument in args if isinstance(argument, ndarray)), None)
    args, out = _unwrapped(list(args), name), kwargs.pop("out", None)
    _unwrapped(self, name)
    kwargs = {key: _unwrapped(value, name) for key, value in kwargs.items()}
    counters["launch"] += len(args[0]) if name in ("concatenate", "stack") else LAUNCHES[name]
    if out is not None:
        out = out[0] if isinstance(out, tuple) else out
        target = _unwrapped(out, name)
        do(lambda: function(*args, out=target, **kwargs))
        return out
    if name in VIEWS:
        return _on_device(np.asarray(function(*args, **kwargs)), viewed)
    return _on_device(_computed(lambda: np.asarray(function(*args, **kwargs)).copy("C")))


def _function(name):
    if name not in LAUNCHES:
        raise AttributeError(f"the stand-in for cupy does not know {name!r}")
    return lambda *args, **kwargs: _call(name, getattr(np, name), args, kwargs)


def __getattr__(name):
    if name in TYPES:
        return getattr(np, name)
    if name == "add":
        return _Add()
    return _function(name)


class _Add:
    """The ufunc add, with the adjoint of indexing as `at`."""

    def __call__(self, *args, **kwargs):
        return _call("add", np.add, args, kwargs)

    def at(self, array, index, values):
        counters["launch"] += 1
        operands = [_unwrapped(operand, "add.at") for operand in (array, index, values)]
        do(lambda: np.add.at(*operands))


# ------------------------------------------------------------------ memory


class _OutOfMemoryError(MemoryError):
    def __init__(self, size, total):
        self._size, self._total = size, total
        super().__init__(f"Out of memory allocating {size:,} bytes (allocated so far: {total:,} bytes).")


class _Memory:
    """Of all devices: CuPy's pool, without its blocks."""

    def __init__(self):
        self.capacity, self.used = 2**40, 0

    def take(self, array):
        """Count an array until its memory is freed."""
        if self.used + array.nbytes > self.capacity:
            raise _OutOfMemoryError(array.nbytes, self.used)
        self.used += array.nbytes
        weakref.finalize(shim.memory_of(array), self._free, array.nbytes)

    def _free(self, size):
        self.used -= size

    def used_bytes(self):
        return self.used

    total_bytes = used_bytes


memory = _Memory()


def get_default_memory_pool():
    return memory


def _allocated(shape, dtype):
    array = shim.guarded(shape, dtype)
    memory.take(array)
    if _recording is not None:
        _reserved.append(array)
    return array


# ------------------------------------------------------------------ making arrays


def empty(shape, dtype=np.float64, order="C"):
    return _on_device(_allocated(shape, dtype) if computing else np.zeros(shape, dtype))


def empty_like(a, dtype=None):
    return empty(a.shape, dtype or a.dtype)


def full(shape, value, dtype=None):
    counters["launch"] += 1
    out = empty(shape, np.asarray(value).dtype if dtype is None else dtype)
    do(lambda: out._host.fill(value))
    return out


def zeros(shape, dtype=np.float64):
    return full(shape, 0, dtype)


def ones(shape, dtype=np.float64):
    return full(shape, 1, dtype)


def zeros_like(a, dtype=None):
    return full(a.shape, 0, dtype or a.dtype)


def ones_like(a, dtype=None):
    return full(a.shape, 1, dtype or a.dtype)


def asarray(data, dtype=None, order=None):
    if isinstance(data, ndarray):
        return data if dtype in (None, data.dtype) else data.astype(dtype)
    _host_only("a copy from the host")
    counters["h2d"] += 1
    if order is None:  # as CuPy has it: of other orders than these nothing is left
        order = "F" if isinstance(data, np.ndarray) and data.flags.fnc else "C"
    return _on_device(_fresh(np.array(data, dtype=dtype, order=order)))


array = asarray


def ascontiguousarray(a):
    return a if a.flags.c_contiguous else a.copy()


def asnumpy(a):
    return a.get() if isinstance(a, ndarray) else np.asarray(a)


def shares_memory(a, b):
    return np.shares_memory(a._host, b._host)


def may_share_memory(a, b):
    return np.may_share_memory(a._host, b._host)


# ------------------------------------------------------------------ matrix products

_routines_linalg = types.SimpleNamespace(COMPUTE_TYPE_TBD=0, COMPUTE_TYPE_DEFAULT=1, COMPUTE_TYPE_TF32=7)
_compute_types = {"float32": _routines_linalg.COMPUTE_TYPE_TBD}
_core = types.SimpleNamespace(
    _routines_linalg=_routines_linalg,
    get_compute_type=lambda dtype: _compute_types[np.dtype(dtype).name],
    set_compute_type=lambda dtype, compute_type: _compute_types.update({np.dtype(dtype).name: compute_type}),
)


def matmul(a, b, out=None):
    """Two dimensions take transposed operands as they are; more dimensions copy what is not C-ordered."""
    if _recording is not None:
        raise NotImplementedError("calling cuBLAS API during stream capture is currently unsupported")
    a, b = _unwrapped(a, "matmul"), _unwrapped(b, "matmul")
    batched = max(a.ndim, b.ndim) > 2
    as_they_are = [x.flags.c_contiguous or (x.flags.f_contiguous and not batched) for x in (a, b)]
    counters["launch"] += 1 + as_they_are.count(False)
    if not computing:
        return empty((*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1]), a.dtype)
    if _compute_types["float32"] == _routines_linalg.COMPUTE_TYPE_TF32 and a.dtype == b.dtype == np.float32:
        a, b = _rounded_to_tf32(a), _rounded_to_tf32(b)
    product = np.matmul(a, b)
    if out is None:
        return _on_device(_fresh(product))
    _unwrapped(out, "matmul")[...] = product
    return out


def _rounded_to_tf32(x):
    """10 bits of mantissa."""
    bits = np.ascontiguousarray(x).view(np.uint32)
    return ((bits + np.uint32(0x1000)) & np.uint32(0xFFFFE000)).view(np.float32)


# ------------------------------------------------------------------ kernels written in CUDA C


class RawModule:
    def __init__(self, *, code, options=()):
        self.code, self.options = code, options

    def get_function(self, name):
        kernels = shim.compile_source(self.code, self.options)
        if name not in kernels:
            raise RuntimeError(f"CUDA_ERROR_NOT_FOUND: named symbol not found: {name!r}")

        def launch(grid, block, args):
            counters["launch"] += 1
            if any(isinstance(argument, np.ndarray) and argument.size != 1 for argument in args):
                raise TypeError(f"{name}: only numpy.ndarrays of size one can be passed by value")
            arguments = tuple([_unwrapped(a, name) if isinstance(a, ndarray) else copy.copy(a) for a in args])
            if computing:
                do(lambda: kernels[name](grid, block, arguments))

        return launch


# ------------------------------------------------------------------ devices and streams

_current_device = 0


class _Device:
    compute_capability = "90"

    def __init__(self, device=None):
        self.id = _current_device if device is None else int(device)
        if not 0 <= self.id < DEVICES:
            raise RuntimeError("cudaErrorInvalidDevice: invalid device ordinal")

    def __eq__(self, other):
        return isinstance(other, _Device) and self.id == other.id

    def __hash__(self):
        return hash(self.id)

    def __enter__(self):
        self._previous = _current_device
        _use(self.id)
        return self

    def __exit__(self, *exception):
        _use(self._previous)

    def use(self):
        _use(self.id)

    def synchronize(self):
        _host_only("a wait")
        counters["wait"] += 1

    @property
    def mem_info(self):
        return memory.capacity - memory.used, memory.capacity


def _use(device):
    global _current_device
    _current_device = device


class _Stream:
    """All streams are one queue here, but that only one of one's own can capture."""

    def __init__(self, non_blocking=False):
        self.ptr = id(self) if non_blocking else 0

    def __enter__(self):
        self._previous = _streams.pop()
        _streams.append(self)
        return self

    def __exit__(self, *exception):
        _streams[:] = [self._previous]

    def synchronize(self):
        _host_only("a wait")
        counters["wait"] += 1

    def begin_capture(self):
        global _recording, _spoilt
        if not self.ptr:
            raise RuntimeError("cudaErrorStreamCaptureUnsupported: the default stream cannot capture")
        _recording, _spoilt = [], False

    def end_capture(self):
        global _recording
        work, _recording = _recording, None
        if _spoilt:
            raise RuntimeError("cudaErrorStreamCaptureInvalidated")
        return _Graph(work)


class _Graph:
    def __init__(self, work):
        self.work = work

    def launch(self):
        counters["graph"] += 1
        for work in self.work:
            work()


_streams = [_Stream()]


@contextlib.contextmanager
def _using_allocator(allocator):
    yield


def is_available():
    return True


cuda = types.SimpleNamespace(
    Device=_Device,
    Stream=_Stream,
    MemoryPool=lambda: types.SimpleNamespace(malloc=None),
    get_current_stream=lambda: _streams[-1],
    using_allocator=_using_allocator,
    is_available=is_available,
    memory=types.SimpleNamespace(OutOfMemoryError=_OutOfMemoryError),
    runtime=types.SimpleNamespace(getDeviceCount=lambda: DEVICES),
)


@contextlib.contextmanager
def counted():
    """Counts of what happens inside the block."""
    before = counters.copy()
    counts: collections.Counter[str] = collections.Counter()
    yield counts
    counts.update(counters - before)


def installed(monkeypatch):
    """`import cupy` gives this module, for one test."""
    monkeypatch.setitem(sys.modules, "cupy", sys.modules[__name__])
    return sys.modules[__name__]
