"""minigan sample."""

from __future__ import annotations

import argparse

from .. import images
from ..gan import Run
from ..gan.sampling import ROW, draw, picture


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", metavar="RUN", help="directory of a run")
    parser.add_argument("-o", "--output", metavar="FILE.png", required=True, help="the picture to write")
    parser.add_argument("--checkpoint", metavar="FILE", help="the checkpoint to draw from (default: the last)")
    parser.add_argument("-n", "--number", type=int, default=64, metavar="N", help="number of images (default 64)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the latents (default 0)")
    parser.add_argument("--interpolate", action="store_true", help=f"rows of {ROW} from one latent to another")
    parser.add_argument("--label", type=int, metavar="N", help="class to draw, for conditional runs (default: in turn)")


def run(args: argparse.Namespace) -> int:
    if args.number < 1:
        raise ValueError(f"-n must be 1 or more, got {args.number}")
    if not args.output.lower().endswith(".png"):
        raise ValueError(f"-o names a PNG to write: expected FILE.png, got {args.output}")
    algorithm, state = Run.open(args.directory).load(path=args.checkpoint)
    fakes = draw(algorithm, args.number, args.seed, interpolate=args.interpolate, label=args.label)
    images.save_png(picture(algorithm.config, fakes, columns=ROW if args.interpolate else None), args.output)
    print(f"{len(fakes)} samples by the generator of step {state['step']}, seed {args.seed}: {args.output}")
    return 0
