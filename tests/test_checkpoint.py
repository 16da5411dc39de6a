import hashlib
import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minigan import checkpoint
from minigan.checkpoint import CheckpointError

keys = st.text(st.characters(), max_size=8).filter(lambda key: key != checkpoint.ARRAY) | st.sampled_from(
    ["0.weight", "a/b", "../up", "a.npy", "a", "header.json", "\ud800", ""]
)
dtypes = hnp.scalar_dtypes() | hnp.array_dtypes(allow_subarrays=False)
arrays = dtypes.flatmap(lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0, max_side=3)))
arrays = arrays | arrays.map(np.asfortranarray) | arrays.map(lambda array: array.T[..., ::-1] if array.ndim else array)
values = st.none() | st.booleans() | st.integers(-(2**200), 2**200) | st.floats() | st.text(st.characters())
leaves = values | arrays | st.lists(values, max_size=3)
states = st.dictionaries(
    keys, st.recursive(leaves, lambda nodes: st.dictionaries(keys, nodes) | st.lists(nodes), max_leaves=6), max_size=4
)


def same(one, other):
    """Equal in every bit, in type and in the order of the keys."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return repr(one) == repr(other)  # tells -0.0 from 0.0, and finds NaN equal to NaN


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("checkpoints")


@pytest.mark.filterwarnings("ignore:Stored array in format 3.0")  # field names beyond Latin-1
@settings(deadline=None)
@given(states)
def test_every_state_comes_back_to_the_bit(folder, state):
    path = folder / "any.npz"
    checkpoint.save(path, state)
    assert same(checkpoint.load(path), state)


def example(step=3):
    rng = np.random.Generator(np.random.Philox(step))
    rng.standard_normal(7, np.float32)
    weight = np.array([[0.1, -0.0, np.nan], [np.inf, 1e-45, 3]], np.float32)
    weight.view(np.uint32)[0, 2] = 0x7FC0BEEF  # a NaN with a payload
    return {
        "step": step,
        "modules": {"generator": {"0.weight": weight, "0.bias": np.zeros(0, np.float64), "steps": np.array(4)}},
        "rng": rng.bit_generator.state,
        "pcg": np.random.default_rng(5).bit_generator.state,  # 128-bit integers
        "config": {"betas": [0.5, 0.999], "preset": "dcgan", "clip": None, "ema": False, "nothing": {}},
    }


def test_a_random_state_goes_on_where_it_was(tmp_path):
    state = example()
    expected = np.random.Generator(np.random.Philox())
    expected.bit_generator.state = state["rng"]
    checkpoint.save(tmp_path / "x.npz", state)
    resumed = np.random.Generator(np.random.Philox())
    resumed.bit_generator.state = checkpoint.load(tmp_path / "x.npz")["rng"]
    np.testing.assert_array_equal(resumed.standard_normal(99), expected.standard_normal(99))


def test_the_file_is_an_ordinary_npz_without_pickle_and_equal_states_give_equal_files(tmp_path):
    one, other = tmp_path / "one.npz", tmp_path / "other.npz"
    checkpoint.save(one, example())
    checkpoint.save(other, example())
    assert one.read_bytes() == other.read_bytes()
    with np.load(one, allow_pickle=False) as archive:
        weight = archive["state/modules/generator/0.weight"]
    assert weight.tobytes() == example()["modules"]["generator"]["0.weight"].tobytes()
    with zipfile.ZipFile(one) as archive:
        assert json.loads(archive.read("header.json"))["format_version"] == 1
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}


def test_loaded_arrays_can_be_written_to(tmp_path):
    checkpoint.save(tmp_path / "x.npz", example())
    checkpoint.load(tmp_path / "x.npz")["modules"]["generator"]["0.weight"] += 1


@pytest.mark.parametrize(
    "leaf, message",
    [
        ((0.5, 0.9), "state/bad is of type tuple, expected dict, list, str"),
        (np.float32(1), "state/bad is of type float32 float32"),
        (np.array([None]), "state/bad is of type ndarray object"),
        (np.ma.zeros(2), "state/bad is of type MaskedArray float64"),
        ([{1, 2}], "state/bad/0 is of type set"),
        ({3: 1}, r"state/bad has the keys \[3\], expected str"),
        ({"$array": 1}, r"state/bad has the keys \['\$array'\], expected str, and not '\$array'"),
    ],
)
def test_what_would_not_come_back_is_not_saved(tmp_path, leaf, message):
    with pytest.raises(TypeError, match=message):
        checkpoint.save(tmp_path / "x.npz", {"bad": leaf})
    assert not any(tmp_path.iterdir())


# Files that are not intact


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "step_00003000.npz"
    checkpoint.save(path, example())
    return path


def rewrite(path, change):
    """Write the checkpoint again with its entries changed, as a valid .npz."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    change(entries)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)


def flip_a_bit_of_a_weight(entries):
    content = bytearray(entries["state/modules/generator/0.weight.npy"])
    content[-1] ^= 1
    entries["state/modules/generator/0.weight.npy"] = bytes(content)


def change_the_step(entries):
    entries["header.json"] = entries["header.json"].replace(b'"step": 3', b'"step": 4')


def drop_an_array(entries):
    del entries["state/rng/buffer.npy"]


def add_an_array(entries):
    entries["state/new.npy"] = entries["state/rng/buffer.npy"]


def swap_two_arrays(entries):
    one, other = "state/rng/state/key.npy", "state/rng/state/counter.npy"
    entries[one], entries[other] = entries[other], entries[one]


def view_as_integers(entries):
    name = "state/modules/generator/0.weight.npy"
    entries[name] = entries[name].replace(b"<f4", b"<i4")


def change_a_shape(entries):
    name = "state/modules/generator/0.weight.npy"
    entries[name] = entries[name].replace(b"(2, 3)", b"(3, 2)")


@pytest.mark.parametrize(
    "change",
    [
        flip_a_bit_of_a_weight,
        view_as_integers,
        change_a_shape,
        change_the_step,
        drop_an_array,
        add_an_array,
        swap_two_arrays,
    ],
)
def test_an_altered_content_is_refused(saved, change):
    rewrite(saved, change)
    with pytest.raises(CheckpointError, match=r"step_00003000\.npz was altered: its content .* SHA-256"):
        checkpoint.load(saved)


def test_an_unknown_format_version_is_refused(saved):
    def from_the_future(entries):
        header = json.loads(entries["header.json"]) | {"format_version": 2, "sha256": hashlib.sha256().hexdigest()}
        entries["header.json"] = json.dumps(header).encode()

    rewrite(saved, from_the_future)
    with pytest.raises(CheckpointError, match="has format_version 2, expected 1: load it with the version"):
        checkpoint.load(saved)


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_any_changed_byte_is_refused_or_changes_nothing(folder, data):
    path = folder / "flipped.npz"
    checkpoint.save(path, example())
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        state = checkpoint.load(path)
    except CheckpointError as error:
        assert "flipped.npz" in str(error) and "\n" not in str(error)
    else:  # a byte that says nothing of the state, such as an entry's date
        assert same(state, example())


def test_every_truncation_is_refused(saved):
    content = saved.read_bytes()
    for length in [*range(0, len(content), 97), len(content) - 1]:
        saved.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match="is truncated" if length >= 4 else "is not a checkpoint"):
            checkpoint.load(saved)


def write_npz(path):
    np.savez(path, weight=np.ones(3))


def write_text(path):
    path.write_text("step 1: loss .69")


def write_pickle(path):
    path.write_bytes(b"\x80\x04N.")


@pytest.mark.parametrize(
    "write, reason",
    [
        (write_npz, r"an \.npz file without header\.json"),
        (write_text, r"does not begin as an \.npz file does"),
        (write_pickle, r"does not begin as an \.npz file does"),
    ],
)
def test_a_foreign_file_is_refused(tmp_path, write, reason):
    write(tmp_path / "foreign.npz")
    with pytest.raises(CheckpointError, match=rf"foreign\.npz is not a checkpoint: .*{reason}"):
        checkpoint.load(tmp_path / "foreign.npz")


def test_pickled_objects_are_never_loaded(saved, tmp_path):
    np.save(tmp_path / "objects.npy", np.array([print], object), allow_pickle=True)
    rewrite(saved, lambda entries: entries.update({"state/x.npy": (tmp_path / "objects.npy").read_bytes()}))
    with pytest.raises(CheckpointError, match="Object arrays cannot be loaded"):
        checkpoint.load(saved)


def test_the_newest_good_one_before_a_bad_one_is_offered(tmp_path):
    paths = [tmp_path / f"step_{step:08d}.npz" for step in (1000, 2000, 3000, 4000, 5000)]
    for path in paths:
        checkpoint.save(path, example())
    for path in (paths[2], paths[3]):
        path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load(paths[3])
    assert caught.value.previous == paths[1]
    assert "; the previous one, step_00002000.npz, is good: resume from it" in str(caught.value)
    assert same(checkpoint.load(caught.value.previous), example())


def test_a_bad_one_without_a_good_one_before_it(tmp_path):
    bad, later = tmp_path / "step_1.npz", tmp_path / "step_2.npz"
    bad.write_bytes(b"PK\3\4")
    checkpoint.save(later, example())
    with pytest.raises(CheckpointError, match=r"is truncated: .*; no earlier one beside it is good") as caught:
        checkpoint.load(bad)
    assert caught.value.previous is None


def test_a_missing_file_is_an_oserror(tmp_path):
    with pytest.raises(FileNotFoundError):
        checkpoint.load(tmp_path / "absent.npz")


# A full disk

FILL = """
import resource, signal, sys
import numpy as np
from minigan import checkpoint
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    checkpoint.save(sys.argv[1], {"weight": np.ones(100_000)})
except OSError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
@pytest.mark.parametrize("limit", [0, 100, 500_000, 800_300])
def test_a_full_disk_leaves_the_old_checkpoint_and_nothing_else(saved, limit):
    before = saved.read_bytes()
    result = subprocess.run(
        [sys.executable, "-c", FILL, str(saved), str(limit)], capture_output=True, text=True, check=True
    )
    assert result.stderr == ""
    assert result.stdout == f"[Errno 27] File too large: '{saved}'\n"
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]
