"""Score every preset for MNIST after an equal budget of real images, and say what it took.

    python benchmarks/mnist_quality.py                          every run that has no result yet
    python benchmarks/mnist_quality.py --presets dcgan mlp --seeds 0
    python benchmarks/mnist_quality.py --table                  only the table and the plot of the results so far

Every run shows its discriminator 300,000 real images (five epochs) and is then scored as `minigan evaluate` does, with
10,000 samples against the test set; but for NDB/K, which takes 20,000 samples against all training images, as published
figures do. Seconds are of processor time, so that runs on a shared machine compare; give them one thread each
(MINIGAN_THREADS=1). The row "training images" scores images of the training set as if a generator had drawn them:
nothing can be expected to do better. A run takes minutes, all of them hours. Each is recorded in
results/mnist_quality.json as soon as it ends; interrupt and call again at will.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import records

from minigan import data, images, metrics
from minigan.gan import Trainer, create, presets
from minigan.gan.evaluate import evaluator
from minigan.gan.sampling import draw
from minigan.metrics import Score

NAME = "mnist_quality"
BUDGET = 300_000  # real images shown to the discriminator
SEEDS = range(3)
NDB_SAMPLES, BINS = 20_000, 100
REAL = "training images"
PRESETS = [p.name for p in presets.PRESETS.values() if p.shape == (1, 28, 28)]
COLUMNS = {  # score: (factor, digits)
    "FID": (1, 2), "KID": (1000, 1), "inception score": (1, 2), "precision": (1, 3), "recall": (1, 3), "NDB/K": (1, 2),
    "classes covered": (1, 1), "smallest class": (100, 1),
}  # fmt: skip


def wanted(rows: list[str], seeds: list[int]) -> list[records.Record]:
    """The runs of a table, one seed of all after the other."""
    return [{"row": row, "seed": seed, "settings": settings(row)} for seed in seeds for row in rows]


def settings(row: str) -> dict[str, Any]:
    """A preset's own settings, but for the number of steps, which the budget gives."""
    if row == REAL:
        return {}
    steps = BUDGET // presets.configure(row).images_per_step
    return {**presets.get(row).settings, "steps": steps}


def run(want: records.Record) -> records.Record:
    """Train and score: the record of one run."""
    if want["row"] == REAL:
        order = np.random.default_rng(want["seed"]).permutation(60_000)
        train = data.load_dataset("mnist")
        return {**want, "seconds": 0.0, "scores": scores(lambda count: train.batch(order[:count]))}
    config = presets.configure(want["row"], seed=want["seed"], steps=want["settings"]["steps"])
    algorithm = create(config, "cpu")
    started = time.process_time()
    Trainer(config, algorithm, presets.get(config.preset).load_data(config.data)).run()
    seconds = time.process_time() - started
    folder = records.RESULTS / NAME
    folder.mkdir(parents=True, exist_ok=True)
    images.save_png(
        images.grid(algorithm.sample(algorithm.fixed_latents(64)).numpy()), folder / f"{want['row']}_{want['seed']}.png"
    )
    return {**want, "seconds": round(seconds, 1), "scores": scores(lambda count: draw(algorithm, count, 0))}


def scores(sample: Any) -> list[dict[str, Any]]:
    """All scores of what sample(count) gives, as plain values with their protocols."""
    fitted = judge().scores(sample(judge().samples))
    many = metrics.compare_bins(bins(), images.to_uint8(sample(NDB_SAMPLES)))
    protocol = {
        **next(score.protocol for score in fitted if score.name == "NDB/K"),
        "N": NDB_SAMPLES,
        "bins of": 60_000,
    }
    ndb = Score("NDB/K", many.share, protocol=protocol)
    return [asdict(ndb if score.name == "NDB/K" else score) for score in fitted]


@cache
def judge() -> Any:
    return evaluator(presets.configure())


@cache
def bins() -> metrics.Bins:
    train, _ = data.load_mnist()
    return metrics.fit_bins(train, BINS, rng=np.random.default_rng(0))


def results() -> dict[str, list[records.Record]]:
    """The records made with the settings that the presets have now, by row, each with its scores by name."""
    found: dict[str, list[records.Record]] = {}
    first: dict[str, Score] = {}
    for record in records.load(NAME):
        if record["row"] in [REAL, *PRESETS] and record["settings"] == settings(record["row"]):
            by_name = {score["name"]: Score(**score) for score in record["scores"]}
            for name, score in by_name.items():
                metrics.compare(score, first.setdefault(name, score))  # raises where protocols differ
            found.setdefault(record["row"], []).append({**record, "scores": by_name})
    return found


def table() -> str:
    found = results()
    header = ["preset", "FID", "KID x 1000", "inception score", "precision", "recall", "NDB/K", "classes of 10",
              "smallest class %", "processor s", "runs"]  # fmt: skip
    lines = []
    for row in [REAL, *PRESETS]:
        ours = found.get(row, [])
        if ours:
            cells = [
                records.cell([factor * record["scores"][name].value for record in ours], digits)
                for name, (factor, digits) in COLUMNS.items()
            ]
            seconds = records.cell([record["seconds"] for record in ours], 0) if row != REAL else ""
            lines.append([row, *cells, seconds, str(len(ours))])
    return records.markdown(header, lines)


def plot() -> Path:
    """FID against the seconds of training, one point a run."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for row, ours in results().items():
        fid = [record["scores"]["FID"].value for record in ours]
        if row == REAL:
            axes.axhline(np.mean(fid), color="gray", linestyle=":", label=row)
        else:
            axes.scatter([record["seconds"] for record in ours], fid, label=row)
    axes.set(
        xlabel=f"processor seconds for {BUDGET:,} real images",
        ylabel="FID (digit classifier)",
        xscale="log",
        yscale="log",
    )
    axes.legend(fontsize=8, ncols=2)
    path = records.RESULTS / f"{NAME}.png"
    figure.savefig(path, dpi=110)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="+", choices=[REAL, *PRESETS], default=[REAL, *PRESETS], metavar="PRESET")
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--table", action="store_true", help="run nothing")
    args = parser.parse_args()
    todo = [] if args.table else records.missing(NAME, wanted(args.presets, args.seeds))
    for number, want in enumerate(todo, 1):
        record = run(want)
        records.append(NAME, record)
        values = ", ".join(f"{score['name']} {score['value']:.4g}" for score in record["scores"])
        print(
            f"{number} of {len(todo)}: {want['row']}, seed {want['seed']}: {record['seconds']:.0f} s, {values}",
            flush=True,
        )
    text = table()
    (records.RESULTS / f"{NAME}.md").write_text(text + "\n")
    print(text)
    print(plot())


if __name__ == "__main__":
    main()
