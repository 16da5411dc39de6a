"""Count the modes that GANs reach on a ring of 8 and a grid of 25 Gaussians, beside what papers report.

    python benchmarks/modes.py                                  every run that has no result yet
    python benchmarks/modes.py --rows gan r1 --data ring --seeds 0 1
    python benchmarks/modes.py --table                          only the table and the plot of the results so far

A run takes minutes, all of them hours. Each is recorded in results/modes.json as soon as it ends; interrupt and call
again at will.

The protocol is that of the Unrolled GAN's demonstration, VEEGAN and GDPP. Fixed for all rows: data (ring of radius 1,
std 0.01; grid at -4, -2, 0, 2, 4, std 0.05; fresh every step), networks (256-128-128-2 against 2-128-128-1, tanh,
orthogonal weights of gain 1.4), batch 512, 25,000 steps of the generator, 2,500 samples at the end, high quality within
3 std of the nearest mode (Euclidean), a mode counted when it is nearest to one such sample. Adam with learning rates
1e-3 (generator) and 1e-4 (discriminator) and betas 0.5 and 0.999 unless the row says otherwise.
"""

from __future__ import annotations

import argparse
import re
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import records
from threadpoolctl import threadpool_limits

from minigan.backend import configure_cpu
from minigan.gan import ConfigWarning, Trainer, create, presets
from minigan.gan.evaluate import evaluator

NAME = "modes"
DATA = {"ring": 8, "grid": 25}
SCORES = ("modes", "high quality")
SEEDS = range(5)
STEPS = 25_000
PROTOCOL = {"batch_size": 512, "latent_size": 256, "lr_generator": 1e-3, "lr_discriminator": 1e-4}

TUNED = {"lr_generator": 3e-3, "lr_discriminator": 3e-3, "lr_schedule": "cosine", "ema": 0.999}
ROWS: dict[str, dict[str, Any]] = {
    "gan": {},
    "gan, tuned": TUNED,
    "least squares": {**TUNED, "objective": "least_squares"},
    "hinge + spectral norm": {
        **TUNED, "objective": "hinge", "spectral_norm": True, "beta1": 0.0, "lr_generator": 3e-4,
        "lr_discriminator": 1e-2,
    },
    "r1": {**TUNED, "penalty": "r1", "penalty_weight": 0.1},
    "pacgan2": {**TUNED, "packing": 2},
    "wgan-gp": {
        **TUNED, "objective": "wasserstein", "penalty": "wgan_gp", "penalty_weight": 0.1, "beta1": 0.0, "beta2": 0.99,
    },
}  # fmt: skip

# Modes and % of high quality, mean of 5 runs: ring, grid. Their ring has 7 distinct centres, ours 8.
PUBLISHED = {
    "GAN": (1, 99.3, 3.3, 0.5),
    "ALI": (2.8, 0.13, 15.8, 1.6),
    "Unrolled GAN": (7.6, 35.6, 23.6, 16),
    "VEEGAN": (8, 52.9, 24.6, 40),
    "WGAN-GP": (6.8, 59.6, 24.2, 28.7),
    "GDPP": (8, 71.7, 24.8, 68.5),
}


def wanted(rows: list[str], sources: list[str], seeds: list[int]) -> list[records.Record]:
    """The runs of a table, those of one seed together."""
    return [
        {"row": row, "data": source, "seed": seed, "settings": ROWS[row]}
        for row in rows
        for seed in seeds
        for source in sources
    ]


def run(want: records.Record) -> records.Record:
    """Train and score: the record of one run."""
    settings = {**PROTOCOL, **want["settings"]}
    config = presets.configure("mlp-2d", data=want["data"], seed=want["seed"], steps=STEPS, log_every=STEPS, **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConfigWarning)
        algorithm = create(config, "cpu")
    started = time.perf_counter()
    Trainer(config, algorithm, presets.get(config.preset).load_data(config.data)).run()
    seconds = time.perf_counter() - started
    judge = evaluator(config)
    fakes = judge.fakes(algorithm)
    if want["seed"] == 0:
        folder = records.RESULTS / NAME
        folder.mkdir(parents=True, exist_ok=True)
        np.save(sample_path(want["row"], want["data"]), fakes.astype(np.float16))
    scores = {score.name: score.value for score in judge.scores(fakes)}
    return {**want, "seconds": round(seconds, 1), **scores}


def sample_path(row: str, source: str) -> Path:
    name = re.sub(r"\W+", "_", row)
    return records.RESULTS / NAME / f"{name}_{source}.npy"


def results() -> dict[tuple[str, str], list[records.Record]]:
    """The records made with the settings that the rows have now, by row and data."""
    found: dict[tuple[str, str], list[records.Record]] = {}
    for record in records.load(NAME):
        if ROWS.get(record["row"]) == record["settings"]:
            found.setdefault((record["row"], record["data"]), []).append(record)
    return found


def table() -> str:
    """Means and standard errors of ours, and the published means."""
    found = results()
    header = ["", "ring: modes", "high quality %", "reverse KL", "grid: modes", "high quality %", "reverse KL", "runs"]
    lines = []
    for row, settings in ROWS.items():
        cells, runs = [], []
        for source in DATA:
            ours = found.get((row, source), [])
            runs.append(str(len(ours)))
            cells += [
                records.cell([factor * record[score] for record in ours], digits) if ours else ""
                for score, factor, digits in (("modes", 1, 1), ("high quality", 100, 1), ("reverse KL", 1, 3))
            ]
        lines.append([f"{row}: {changes(settings)}", *cells, " + ".join(runs)])
    lines += [
        [f"published: {name}", f"{ring}", f"{ring_quality}", "", f"{grid}", f"{grid_quality}", "", "5 + 5"]
        for name, (ring, ring_quality, grid, grid_quality) in PUBLISHED.items()
    ]
    return records.markdown(header, lines) + f"\n\ntuned: {' '.join(options(TUNED))}"


def changes(settings: dict[str, Any]) -> str:
    """What a row changes, as options of `minigan train`; "tuned" for those of TUNED."""
    if not settings:
        return "as the protocol has it"
    tuned = settings.items() >= TUNED.items()
    return " ".join(["tuned"] * tuned + options({k: v for k, v in settings.items() if not tuned or k not in TUNED}))


def options(settings: dict[str, Any]) -> list[str]:
    return [f"--{key.replace('_', '-')}" + ("" if value is True else f" {value}") for key, value in settings.items()]


def plot() -> Path:
    """The samples of seed 0 of every row, ring above, grid below."""
    from matplotlib.figure import Figure

    found = results()
    rows = [row for row in ROWS if any((row, source) in found for source in DATA)]
    figure = Figure(figsize=(2.2 * len(rows), 4.8), layout="constrained")
    panels = figure.subplots(len(DATA), len(rows), squeeze=False)
    for line, source in zip(panels, DATA, strict=True):
        reach = presets.get("mlp-2d").load_data(source).reach
        for axes, row in zip(line, rows, strict=True):
            axes.set(xlim=(-reach, reach), ylim=(-reach, reach), xticks=[], yticks=[], aspect="equal")
            ours = found.get((row, source), [])
            if ours:
                modes, quality = (records.mean_and_error([record[score] for record in ours])[0] for score in SCORES)
                axes.set_title(f"{row}\n{modes:.1f} of {DATA[source]} modes, {100 * quality:.0f} %", fontsize=8)
            path = sample_path(row, source)
            if path.exists():
                axes.scatter(*np.load(path).astype(float).T, s=1, alpha=0.2, linewidths=0)
    path = records.RESULTS / f"{NAME}.png"
    figure.savefig(path, dpi=110)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--table", action="store_true", help="run nothing")
    args = parser.parse_args()
    todo = [] if args.table else records.missing(NAME, wanted(args.rows, args.data, args.seeds))
    configure_cpu(threads=1)  # the networks are too small for more
    with threadpool_limits(1):
        for number, want in enumerate(todo, 1):
            record = run(want)
            records.append(NAME, record)
            scores = ", ".join(f"{score} {record[score]:.4g}" for score in SCORES)
            print(
                f"{number} of {len(todo)}: {want['row']}, {want['data']}, seed {want['seed']}: {scores}, "
                f"{record['seconds']:.0f} s",
                flush=True,
            )
    text = table()
    (records.RESULTS / f"{NAME}.md").write_text(text + "\n")
    print(text)
    print(plot())


if __name__ == "__main__":
    main()
