"""A training state in one .npz without pickle: saved whole or not at all, verified when it is loaded.

The archive holds `header.json`, {"format_version", "sha256", "state"}, and every array of the state under its path
("state/modules/generator/0.weight"), where the header's "state" has {"$array": path}.
"""

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

import numpy as np

from .files import replacing

FORMAT_VERSION = 1
HEADER = "header.json"
ARRAY = "$array"


class CheckpointError(ValueError):
    """A file that is no intact checkpoint; `previous` is the newest earlier one beside it that is, or None."""

    def __init__(self, message: str, previous: Path | None = None) -> None:
        super().__init__(message)
        self.previous = previous


def save(path: str | Path, state: dict[str, Any]) -> None:
    """Write a state: nested dicts with str keys, of NumPy arrays, lists, str, int, float, bool and None.

    Equal states give equal files. Raises TypeError for anything else in the state, OSError when the file cannot
    be written; what stood at `path` then stays.
    """
    arrays: dict[str, np.ndarray] = {}
    tree = _take_arrays(state, "state", arrays)
    header = {"format_version": FORMAT_VERSION, "sha256": _digest(tree, arrays), "state": tree}
    with replacing(path) as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr(zipfile.ZipInfo(HEADER), json.dumps(header))
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)


def load(path: str | Path) -> dict[str, Any]:
    """The state that `save` wrote, to the bit.

    Raises CheckpointError for a file that is truncated, altered, of an unknown format version or no checkpoint,
    and OSError for one that cannot be opened. The checkpoints of a folder are taken to be older in the order of
    their names: step_00001000.npz before step_00002000.npz.
    """
    path = Path(path)
    try:
        return _load(path)
    except CheckpointError as error:
        previous = _newest_good_before(path)
        if previous is None:
            hint = "no earlier one beside it is good"
        else:
            hint = f"the previous one, {previous.name}, is good: resume from it"
        raise CheckpointError(f"{error}; {hint}", previous) from error


def _load(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        try:
            return _read(file)
        except CheckpointError as error:
            raise CheckpointError(f"{path} {error}") from error
        except Exception as error:  # the parsers of a damaged archive raise almost anything
            raise CheckpointError(f"{path} was altered or damaged: {error!r}") from error


def _read(file: BinaryIO) -> dict[str, Any]:
    if file.read(4) != b"PK\3\4":
        raise CheckpointError("is not a checkpoint: it does not begin as an .npz file does")
    try:
        archive = zipfile.ZipFile(file)
    except zipfile.BadZipFile as error:
        raise CheckpointError("is truncated: the directory at the end of an .npz file is missing") from error
    names = archive.namelist()
    if HEADER not in names:
        raise CheckpointError(f"is not a checkpoint: it is an .npz file without {HEADER}")
    header = json.loads(archive.read(HEADER))
    if header["format_version"] != FORMAT_VERSION:
        raise CheckpointError(
            f"has format_version {header['format_version']}, expected {FORMAT_VERSION}: "
            "load it with the version of minigan that wrote it"
        )
    arrays = {}
    for name in names:
        if name != HEADER:
            with archive.open(name) as entry:
                arrays[name.removesuffix(".npy")] = np.lib.format.read_array(entry, allow_pickle=False)
    if _digest(header["state"], arrays) != header["sha256"]:
        raise CheckpointError("was altered: its content does not match the SHA-256 in it")
    return _put_arrays(header["state"], arrays)


def _newest_good_before(path: Path) -> Path | None:
    for candidate in sorted(path.parent.glob("*.npz"), reverse=True):
        if candidate.name < path.name:
            try:
                _load(candidate)
            except (CheckpointError, OSError):
                continue
            return candidate
    return None


def _digest(tree: Any, arrays: dict[str, np.ndarray]) -> str:
    """SHA-256 over the JSON of the tree, and over name, dtype, shape and bytes of every array."""
    digest = hashlib.sha256(json.dumps(tree).encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"\n{name} {np.lib.format.dtype_to_descr(array.dtype)} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _take_arrays(node: Any, path: str, arrays: dict[str, np.ndarray]) -> Any:
    """The node as JSON can hold it; its arrays go to `arrays` under their paths, with {"$array": path} left behind."""
    if type(node) is np.ndarray and not node.dtype.hasobject:
        arrays[path] = node
        return {ARRAY: path}
    if isinstance(node, dict):
        if not all(isinstance(key, str) and key != ARRAY for key in node):
            raise TypeError(f"{path} has the keys {list(node)}, expected str, and not {ARRAY!r}")
        # Quoted, so that a key with a slash in it is not taken for a path.
        return {
            key: _take_arrays(value, f"{path}/{quote(key, safe='', errors='surrogatepass')}", arrays)
            for key, value in node.items()
        }
    if isinstance(node, list):
        return [_take_arrays(value, f"{path}/{index}", arrays) for index, value in enumerate(node)]
    if node is None or isinstance(node, str | int | float):
        return node
    kind = f"{type(node).__name__} {getattr(node, 'dtype', '')}".strip()
    raise TypeError(f"{path} is of type {kind}, expected dict, list, str, int, float, bool, None or numpy.ndarray")


def _put_arrays(node: Any, arrays: dict[str, np.ndarray]) -> Any:
    """What `_take_arrays` took apart."""
    if isinstance(node, dict):
        if ARRAY in node:
            return arrays[node[ARRAY]]
        return {key: _put_arrays(value, arrays) for key, value in node.items()}
    if isinstance(node, list):
        return [_put_arrays(value, arrays) for value in node]
    return node
