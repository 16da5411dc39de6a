"""minigan evaluate."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from .. import images
from ..backend import choose_device
from ..files import replacing
from ..gan import Run
from ..gan.evaluate import evaluator
from ..metrics import Score, compare

SCORES = "scores.json"  # in the directory of a run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", metavar="RUN", help="directory of a run")
    parser.add_argument("--checkpoint", metavar="FILE", help="the checkpoint to score (default: the last)")
    parser.add_argument("--samples", type=int, metavar="N", help="fakes to score (default: as many as is usual)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the latents and of random subsets (default 0)")
    parser.add_argument("--against", metavar="RUN", help="also give the differences to a run that was evaluated before")
    parser.add_argument("--json", action="store_true", help=f"print what {SCORES} gets")


def run(args: argparse.Namespace) -> int:
    run = Run.open(args.directory)
    others = _scores_of(Run.open(args.against)) if args.against else None
    device, _ = choose_device("auto")
    algorithm, state = run.load(device, args.checkpoint)
    config = algorithm.config.replace(data=run.config().data)  # the data may have moved since the checkpoint
    judge = evaluator(config, args.samples, args.seed, device)
    fakes = judge.fakes(algorithm)
    scores = judge.scores(fakes)
    differences = {} if others is None else {score.name: _difference(score, others, args.against) for score in scores}

    record = {"step": state["step"], "scores": [asdict(score) for score in scores]}
    if differences:
        record["differences"] = {"to": args.against, **differences}
    text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
    with replacing(run.directory / SCORES) as file:
        file.write(text.encode())
    pictures = judge.pictures(fakes)
    for name, picture in pictures.items():
        images.save_png(picture, run.directory / name)
    if args.json:
        print(text, end="")
        return 0
    for score in scores:
        print(f"{score}: {differences[score.name]:+.4g} against {args.against}" if differences else score)
    print(f"saved in {run.directory}: {', '.join([SCORES, *pictures])}")
    return 0


def _scores_of(run: Run) -> dict[str, Score]:
    path = run.directory / SCORES
    if not path.is_file():
        raise ValueError(f"{run.directory} has no {SCORES} to compare with: run minigan evaluate {run.directory} first")
    try:
        return {score["name"]: Score(**score) for score in json.loads(path.read_text())["scores"]}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} holds no scores ({error}): run minigan evaluate {run.directory} again") from None


def _difference(score: Score, others: dict[str, Score], origin: str) -> float:
    if score.name not in others:
        raise ValueError(f"{origin} has no score {score.name}: it has {', '.join(others)}, for data of another kind")
    return compare(score, others[score.name])
