"""The options of sampling, and the exit codes of what goes wrong in it."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING

from hdsl.commands.output import USAGE

if TYPE_CHECKING:
    from hdsl.backend import SamplingFailed, Settings
    from hdsl.design.snippets import StudyError


def add_settings(parser: argparse.ArgumentParser, draws: int) -> None:
    """Add the options that every sampler has."""
    parser.add_argument("--seed", type=natural, default=1, help="random seed (default 1)")
    parser.add_argument("--draws", type=_positive, default=draws, help=f"draws per chain (default {draws})")
    parser.add_argument("--warmup", type=_positive, default=1000, help="warm-up draws per chain (default 1000)")
    parser.add_argument("--chains", type=_positive, default=4, help="number of chains (default 4)")
    parser.add_argument("--target-accept", type=_share, default=0.95, help="acceptance rate aimed at (default 0.95)")


def add_inference(parser: argparse.ArgumentParser) -> None:
    """Add the option that chooses how the posterior is drawn from."""
    how = (
        "exact: effects are integrated out and draws need no sampler; marginal: those of nested groupings are, and "
        "NUTS draws the rest; nuts: NUTS on the whole model; auto (default): exact where the model's structure allows "
        "it, else marginal, else nuts; with another backend or an engine, marginal where allowed, else nuts"
    )
    parser.add_argument("--inference", choices=("auto", "exact", "marginal", "nuts"), default="auto", help=how)


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that only some engines have; an engine without them refuses them (HDM713)."""
    of = "CmdStan only: --backend stan --engine cmdstan"
    parser.add_argument("--keep-csv", metavar="FOLDER", help=f"keep Stan's own CSV files in this folder ({of})")
    what = "run the chains in one process, at most N at a time, each a thread"
    parser.add_argument("--threads", metavar="N", type=_positive, help=f"{what} ({of})")


def add_stream(parser: argparse.ArgumentParser) -> None:
    """Add the options of how rows are taken in."""
    what = "sum up rows in one pass in place of holding them (default: from 5 million rows, and for several files)"
    parser.add_argument("--stream", action=argparse.BooleanOptionalAction, default=None, help=what)
    of = "sums of rows made by `hdsl summarise`, in place of data"
    parser.add_argument("--shards", metavar="STATS", nargs="+", help=of)


def settings_of(arguments: argparse.Namespace) -> Settings:
    """Return the settings that were given."""
    from hdsl.backend import Settings

    return Settings(
        chains=arguments.chains,
        draws=arguments.draws,
        warmup=arguments.warmup,
        seed=arguments.seed,
        target_accept=arguments.target_accept,
        engine=getattr(arguments, "engine", None),
        inference=getattr(arguments, "inference", "auto"),
        options=_options(arguments),
    )


def _options(arguments: argparse.Namespace) -> dict[str, object]:
    """Return the options of the engine, by the names that it gives them."""
    found: dict[str, object] = {}
    if getattr(arguments, "keep_csv", None) is not None:
        found["keep_csv"] = arguments.keep_csv
    if getattr(arguments, "threads", None) is not None:
        found |= {"threads": True, "parallel_chains": arguments.threads}
    return found


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number, not {text!r}") from None


def _positive(text: str) -> int:
    number = _whole(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def natural(text: str) -> int:
    """Return the number that an argument says, 0 or more and below 2**31."""
    number = _whole(text)
    if not 0 <= number < 2**31:
        raise argparse.ArgumentTypeError("must be between 0 and 2147483647")
    return number


def _share(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < 1:
        raise argparse.ArgumentTypeError("must be between 0 and 1")
    return number


def failed(error: StudyError | SamplingFailed, code: int) -> int:
    """Return the exit code: a backend, engine or setting that there is not is a matter of usage."""
    wrong = {found.code for found in error.diagnostics if found.severity == "error"}
    return USAGE if wrong <= {"HDM116", "HDM601", "HDM713", "HDM714"} else code
