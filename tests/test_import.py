"""What `import minigan` brings along, and that no deep-learning framework is imported anywhere."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import minigan

PACKAGE = Path(minigan.__file__).parent
FRAMEWORKS = {
    "torch", "torchvision", "tensorflow", "keras", "jax", "jaxlib", "flax", "mxnet", "paddle", "chainer", "theano",
    "autograd", "tinygrad", "mindspore", "sklearn", "scipy", "onnx", "onnxruntime", "numba", "cffi",
}  # fmt: skip
ALLOWED = {"numpy", "PIL", "tqdm", "threadpoolctl", "cupy", "matplotlib", "hypothesis", "minigan"}


def loaded_by(statement):
    """The top-level modules that a statement loads into a fresh interpreter."""
    code = f"import sys, json; {statement}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    return set(json.loads(done.stdout))


def test_import_minigan_loads_only_what_it_needs():
    loaded = loaded_by("import minigan")
    top = {name.partition(".")[0] for name in loaded}
    foreign = {name for name in top if not name.startswith("_") and name not in sys.stdlib_module_names}
    assert {name for name in foreign if "numpy" in name or name == "minigan"} >= {"numpy", "minigan"}
    assert not foreign & {"PIL", "tqdm", "threadpoolctl", "matplotlib", "cupy", "hypothesis"}
    assert not foreign & FRAMEWORKS
    assert not {
        name
        for name in loaded
        if name.startswith(("minigan.gan", "minigan.data", "minigan.testing", "minigan.metrics"))
    }


def imports(path):
    """Top-level names of the modules that a source file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.partition(".")[0]


def test_no_source_imports_a_framework_or_anything_that_is_not_declared():
    sources = sorted(PACKAGE.rglob("*.py"))
    assert len(sources) > 40
    for path in sources:
        names = set(imports(path))
        assert not names & FRAMEWORKS, path
        assert names <= ALLOWED | sys.stdlib_module_names, path
        if path.parent.name != "testing":
            assert "hypothesis" not in names, path


def test_imports_point_down():
    """Each floor imports itself and what lies below it."""
    floors = [
        {"kernels", "files"},
        {"backend", "rng", "memory"},
        {"autograd"},
        {"ops", "observe", "profile"},
        {"nn", "optim", "data", "images", "checkpoint", "system"},
        {"metrics", "testing"},
        {"gan"},
        {"bench"},
        {"commands", "cli", "__main__"},
    ]
    floor = {name: number for number, names in enumerate(floors) for name in names}
    for path in sorted(PACKAGE.rglob("*.py")):
        here = path.relative_to(PACKAGE).with_suffix("").parts
        if here == ("__init__",):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.ImportFrom) and node.level):
                continue
            base = (*here[: len(here) - node.level], *(node.module.split(".") if node.module else ()))
            for target in [base[0]] if base else [alias.name for alias in node.names]:
                if target not in ("__version__", here[0]):
                    assert floor[target] <= floor[here[0]], f"{'/'.join(here)} imports {target}"


def test_subpackages_come_on_demand():
    loaded = loaded_by("import minigan as mg; mg.data")
    assert "minigan.data" in loaded and "minigan.gan" not in loaded


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(minigan, "tensorflow")
