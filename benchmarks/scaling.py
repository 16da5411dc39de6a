"""How the speed of a training step grows with batch size, width of the networks, and threads.

    python benchmarks/scaling.py                                        some minutes
    python benchmarks/scaling.py --presets dcgan --batch-sizes 64,1024 --widths "" --thread-counts ""
    python benchmarks/scaling.py --json scaling.json --plot scaling.png

A step is that of `minigan bench`: both players, from the latents to the updates, the real images on the device before.
GFLOP/s counts the multiplications and additions of layers by the plain algorithms; a faster algorithm needs fewer, so
it may exceed what the machine can do. Width is the number of channels behind the discriminator's first convolution, in
the pair of the preset dcgan, which has 64.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from minigan.backend import configure_cpu, default_threads
from minigan.bench.environment import Bystanders, environment
from minigan.bench.report import fact, milliseconds, quartiles
from minigan.bench.timing import Timing, measure
from minigan.bench.training import prepare
from minigan.bench.workloads import batch_sizes
from minigan.files import check_writable, replacing
from minigan.gan import presets
from minigan.gan.config import DEFAULT_PRESET
from minigan.gan.presets.convolutional import compact_discriminator, compact_generator
from minigan.gan.recorded import RecordedStep
from minigan.kernels.reference import ReferenceKernels
from minigan.profile import Profile

BATCH_SIZES = (16, 32, 64, 128, 256, 512, 1024)
WIDTHS = (16, 32, 64, 128)
BATCH_SIZE = 64  # for width and threads
SMALL, LARGE, ALLOWED = 64, 1024, 17  # a step at LARGE takes at most ALLOWED times as long as one at SMALL


@dataclass(frozen=True)
class Row:
    """One measurement. axis: what varies, "batch size", "width" or "threads"; operations: of one step."""

    axis: str
    preset: str
    value: int
    batch_size: int
    threads: int
    timing: Timing
    operations: int

    @property
    def images_per_second(self) -> float:
        return self.batch_size / self.timing.wall.median

    @property
    def gflops(self) -> float:
        return self.operations / self.timing.wall.median / 1e9


def pair(width: int) -> str:
    """The name of a preset like dcgan, with so many channels behind the discriminator's first convolution."""

    def build(config: Any, streams: presets.Streams) -> presets.Players:
        rng = streams["init"]
        return {
            "generator": compact_generator(config.latent_size, 1, rng, width=width),
            "discriminator": compact_discriminator(1, rng, width=width),
        }

    name = f"dcgan of width {width}"
    presets.PRESETS[name] = presets.Preset(name, "", (1, 28, 28), build, presets.get("dcgan").settings)
    return name


def row(
    axis: str, preset: str, value: int, batch_size: int, threads: int, seconds: float, *, plain: bool = False
) -> Row:
    """Time a step, with work memory of its own; plain: by the reference kernels."""
    backend = configure_cpu(threads=threads)
    if plain:
        backend.kernels = ReferenceKernels(backend.xp)
    algorithm, batch = prepare(pair(value) if axis == "width" else preset, backend, batch_size)
    with Profile(backend) as profile:
        algorithm.step(batch)
    operations = sum(work.operations for work in profile.kernels.values())
    take_step = RecordedStep(algorithm)
    timing = measure(lambda: take_step(batch), backend, seconds=seconds)
    return Row(axis, preset, value, batch_size, threads, timing, operations)


def rows(options: argparse.Namespace) -> Iterator[Row]:
    for preset in options.presets:
        for size in options.batch_sizes:
            yield row("batch size", preset, size, size, options.threads, options.seconds)
    for width in options.widths:
        yield row("width", "dcgan", width, BATCH_SIZE, options.threads, options.seconds)
    for preset in options.presets:
        for threads in options.thread_counts:
            yield row("threads", preset, threads, BATCH_SIZE, threads, options.seconds)
    for preset in options.plain:
        for plain in (True, False):
            axis = "plain kernels" if plain else "tuned kernels"
            yield row(axis, preset, BATCH_SIZE, BATCH_SIZE, options.threads, options.seconds, plain=plain)


def line(r: Row) -> str:
    return (
        f"{r.axis:<12}{r.value:>6}  {r.preset:<20}{milliseconds(r.timing.wall.median):>9}{quartiles(r.timing.wall):>16}"
        f"{r.images_per_second:>12,.0f}{r.gflops:>10.1f}"
    )


def verdicts(measured: Sequence[Row]) -> list[str]:
    """For every preset, whether a step grows no faster than its batch, and what the tuned kernels bring."""
    times = {(r.preset, r.value): r.timing.wall.median for r in measured if r.axis == "batch size"}
    sentences = []
    for preset in dict.fromkeys(preset for preset, _ in times):
        if (preset, SMALL) in times and (preset, LARGE) in times:
            ratio = times[preset, LARGE] / times[preset, SMALL]
            kept = "as it should be" if ratio <= ALLOWED else "TOO MUCH"
            sentences.append(
                f"{preset}: a step at batch size {LARGE} takes {ratio:.1f} times as long as one at {SMALL} "
                f"(at most {ALLOWED}: {kept})"
            )
    plain = {r.preset: r.timing.wall.median for r in measured if r.axis == "plain kernels"}
    for r in measured:
        if r.axis == "tuned kernels":
            ratio = plain[r.preset] / r.timing.wall.median
            sentences.append(f"{r.preset}: the tuned kernels take a step {ratio:.1f} times as fast as the plain ones")
    return sentences


def save_json(measured: Sequence[Row], facts: dict[str, str], path: Path) -> None:
    records = [{**asdict(r), "images_per_second": r.images_per_second, "gflops": r.gflops} for r in measured]
    content = {"environment": facts, "verdicts": verdicts(measured), "rows": records}
    with replacing(path) as file:
        file.write((json.dumps(content, indent=1) + "\n").encode())


def save_plot(measured: Sequence[Row], facts: dict[str, str], path: Path) -> None:
    """Images a second over each axis; quartiles as whiskers."""
    from matplotlib.figure import Figure

    axes_measured = [axis for axis in dict.fromkeys(r.axis for r in measured) if "kernels" not in axis]
    figure = Figure(figsize=(4.5 * len(axes_measured), 3.6), layout="constrained")
    for panel, axis in zip(figure.subplots(1, len(axes_measured), squeeze=False).flat, axes_measured, strict=True):
        on_axis = [r for r in measured if r.axis == axis]
        for name in dict.fromkeys(r.preset for r in on_axis):
            points = [r for r in on_axis if r.preset == name]
            rates = [r.images_per_second for r in points]
            below = [r.images_per_second - r.batch_size / r.timing.wall.high for r in points]
            above = [r.batch_size / r.timing.wall.low - r.images_per_second for r in points]
            panel.errorbar([r.value for r in points], rates, yerr=(below, above), marker="o", markersize=3, label=name)
        panel.set_xscale("log", base=2)
        panel.set_yscale("log")
        panel.set_xticks(values := sorted({r.value for r in on_axis}), [str(value) for value in values])
        panel.set_xlabel(axis)
        panel.set_ylabel("images/s")
        panel.legend(fontsize=8)
    figure.suptitle(f"{facts['processor']}, {facts['threads']} threads", fontsize=9)
    with replacing(path) as file:
        figure.savefig(file, format="png", dpi=130)


def numbers(text: str) -> list[int]:
    """ "1,2,4" as numbers, smallest first; nothing as none."""
    parts = text.split(",") if text else []
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise argparse.ArgumentTypeError(f"whole numbers above 0, as in 16,64; got {text!r}")
    return sorted({int(part) for part in parts})


def sizes(text: str) -> list[int]:
    try:
        return batch_sizes(text.split(",")) if text else []
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def preset_names(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in presets.PRESETS:
            raise argparse.ArgumentTypeError(f"unknown preset {name!r}; known: {', '.join(presets.PRESETS)}")
    return names


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    cores = default_threads()
    counts = [count for count in (1, 2, 4, 8, 16, 32) if count < cores] + [cores]
    parser.add_argument("--presets", type=preset_names, default=["mlp", "dcgan28"], metavar="NAMES")
    parser.add_argument("--batch-sizes", type=sizes, default=list(BATCH_SIZES), metavar="NUMBERS")
    parser.add_argument("--widths", type=numbers, default=list(WIDTHS), metavar="NUMBERS")
    parser.add_argument("--thread-counts", type=numbers, default=counts, metavar="NUMBERS")
    parser.add_argument(
        "--plain", type=preset_names, default=[DEFAULT_PRESET], metavar="NAMES", help="time these by both kernels"
    )
    parser.add_argument("--threads", type=int, default=cores, metavar="N", help="for batch size and width")
    parser.add_argument("--seconds", type=float, default=1.0, metavar="X", help="for each figure (default 1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="write a picture (needs matplotlib)")
    options = parser.parse_args(arguments)
    if options.threads < 1 or not options.seconds > 0:
        parser.error("--threads and --seconds must be above 0")
    return options


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    check_writable(options.json, options.plot)
    facts = environment(options.threads, "float32")
    for name, value in facts.items():
        print(fact(name, value))
    print(f"\n{'axis':<12}{'':>6}  {'preset':<20}{'ms a step':>9}{'quartiles':>16}{'images/s':>12}{'GFLOP/s':>10}")
    bystanders = Bystanders()
    measured = []
    for r in rows(options):
        print(line(r), flush=True)
        measured.append(r)
    for sentence in verdicts(measured):
        print(sentence)
    cores = bystanders.cores()
    if cores is not None and cores > 0.1:
        facts["others"] = f"other programs used {cores:.1f} cores meanwhile: the times are too long"
        print(fact("WARNING", facts["others"]))
    if options.json:
        save_json(measured, facts, options.json)
    if options.plot:
        save_plot(measured, facts, options.plot)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except OSError as error:
        sys.exit(f"error: {error}")
