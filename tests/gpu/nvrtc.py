"""NVIDIA's run-time compiler from its Python wheel (it needs no GPU), by ctypes."""

from __future__ import annotations

import ctypes
import importlib.util
from pathlib import Path


def find_library() -> Path | None:
    """libnvrtc in an installed wheel (`nvidia-cuda-nvrtc-cu12`, or `nvidia-cuda-nvrtc` for CUDA 13)."""
    spec = importlib.util.find_spec("nvidia")
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()] if spec else []
    found = [path for folder in folders for path in folder.glob("*/lib/libnvrtc.so.*") if ".alt." not in path.name]
    return max(found, default=None)


class Compiler:
    def __init__(self, library: Path):
        self.library = ctypes.CDLL(str(library))
        major, minor = ctypes.c_int(), ctypes.c_int()
        self.library.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
        self.version = major.value, minor.value

    def compile(self, code: str, *options: str) -> str:
        """The PTX of a CUDA C source; an error or a warning raises, with the compiler's log."""
        nvrtc, program = self.library, ctypes.c_void_p()
        nvrtc.nvrtcCreateProgram(ctypes.byref(program), code.encode(), b"kernels.cu", 0, None, None)
        try:
            flags = [option.encode() for option in options]
            status = nvrtc.nvrtcCompileProgram(program, len(flags), (ctypes.c_char_p * len(flags))(*flags))
            log = self._text(program, "ProgramLog")
            if status or "warning" in log:
                raise RuntimeError(f"NVRTC:\n{log}")
            return self._text(program, "PTX")
        finally:
            nvrtc.nvrtcDestroyProgram(ctypes.byref(program))

    def _text(self, program, what: str) -> str:
        size = ctypes.c_size_t()
        getattr(self.library, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
        text = ctypes.create_string_buffer(size.value)
        getattr(self.library, f"nvrtcGet{what}")(program, text)
        return text.value.decode()
