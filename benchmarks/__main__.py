"""python -m benchmarks run [--quick] [--only SHAPE ...] [--output FILE]; then curves, then page."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.shapes import SHAPES

HERE = Path(__file__).parent


def main() -> None:
    """Measure hdsl against other programs, or write the page and its pictures from what was measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=main.__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    measure = commands.add_parser("run", help="measure, side by side")
    measure.add_argument("--quick", action="store_true", help="the smallest size of each design, few repeats")
    measure.add_argument("--no-nuts", action="store_true", help="hdsl and lme4 alone; keep what was measured of others")
    measure.add_argument("--best-nuts", action="store_true", help="the best of NUTS alone, five times; keep the rest")
    measure.add_argument("--only", nargs="*", default=[], choices=[shape.name for shape in SHAPES])
    measure.add_argument("--output", type=Path, default=HERE / "against.json")
    grown = commands.add_parser("curves", help="measure what rows and groups cost")
    grown.add_argument("--output", type=Path, default=HERE / "against.json")
    page = commands.add_parser("page", help="write docs/performance.md from the results")
    page.add_argument("--results", type=Path, default=HERE / "against.json")
    arguments = parser.parse_args()
    if arguments.command == "run":
        from benchmarks.against import run, run_best

        if arguments.best_nuts:
            run_best(only=arguments.only, output=arguments.output)
            return
        run(quick=arguments.quick, only=arguments.only, nuts=not arguments.no_nuts, output=arguments.output)
    elif arguments.command == "curves":
        from benchmarks.against import run_curves

        run_curves(arguments.output)
    else:
        from benchmarks.page import write

        write(arguments.results)


if __name__ == "__main__":
    main()
