"""hdsl against other programs for the same models and priors, side by side on the same data.

lme4 gives a point estimate; bambi, the program that brms writes, and a program by hand draw from the posterior with
NUTS. Each runs in a process of its own, one after the other. Of each time the median counts.

    python -m benchmarks run [--quick] [--only SHAPE ...] [--output FILE]
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.shapes import SHAPES, Shape

HERE = Path(__file__).parent
PEERS = HERE / "peers"
NUTS_ROWS = 10_000
REPEATS = 5
TIMEOUT = 1_800
MANY_ROWS = 500_000
CHAINS, DRAWS = 4, 1_000
FEWER_DRAWS = 400  # in each of four chains: near 1,000 effective draws of the least known quantity
FEWER = f"hdsl, {FEWER_DRAWS} draws a chain"
ARRAY = re.compile(r"^( *)(\S+(?:\[[^\]]*\])?) (\w+)\[([^\]]+)\];", re.MULTILINE)  # as Stan wrote arrays before 2.33
GROUPING = re.compile(r"\|\s*(\w+)\)")
Answer = dict[str, Any]


def measure(shape: Shape, rows: int, groups: int, repeats: int, nuts: bool) -> Iterator[Answer]:
    """Yield what each program took for one size; a program that is not installed, or fails, says why.

    `nuts`: whether the other programs that sample run too.
    """
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        shape.write(folder, rows, groups)
        size = {"shape": shape.name, "rows": rows, "groups": groups}
        yield {**size, "program": "hdsl", **_guarded(lambda: own(folder, repeats, DRAWS))}
        yield {**size, "program": FEWER, **_guarded(lambda: own(folder, repeats, FEWER_DRAWS))}
        often = repeats if rows < MANY_ROWS or shape.family == "gaussian" else 1
        yield {**size, "program": "lme4", **_guarded(lambda: lme4(shape, folder, often))}
        if rows <= NUTS_ROWS and nuts:
            once = [{**size, "program": name, **sampled(name, shape, folder, 1)} for name in SAMPLERS]
            yield from repeated(once, shape, folder, repeats)


def repeated(once: list[Answer], shape: Shape, folder: Path, repeats: int) -> Iterator[Answer]:
    """Yield what the programs that sample took, the best of them with the medians of `repeats` runs of other seeds."""
    best = best_of({each["program"]: each for each in once})
    for each in once:
        if best is None or each["program"] != best[0]:
            yield each
            continue
        more = [sampled(each["program"], shape, folder, seed) for seed in range(2, repeats + 1)]
        runs = [{key: run[key] for key in ("wall", "cpu", "ess")} for run in [each, *more] if "ess" in run]
        yield {**each, **{key: median(run[key] for run in runs) for key in runs[0]}, "runs": runs}


def best_of(here: Mapping[str, Mapping[str, Any]]) -> tuple[str, float] | None:
    """Return the program with the most effective draws a CPU second of those that sample, and how many."""
    others = {name: each["ess"] / each["cpu"] for name, each in here.items() if name in SAMPLERS and "ess" in each}
    return max(others.items(), key=lambda pair: pair[1]) if others else None


def sampled(program: str, shape: Shape, folder: Path, seed: int) -> Answer:
    """Draw with one of `SAMPLERS`; one that is not installed, or fails, says why."""
    return _guarded(lambda: SAMPLERS[program](shape, folder, seed))


def _guarded(run: Callable[[], Answer]) -> Answer:
    try:
        return run()
    except (subprocess.SubprocessError, FileNotFoundError, RuntimeError) as reason:
        return {"failed": f"{type(reason).__name__}: {str(reason)[:300]}"}


def own(folder: Path, repeats: int, draws: int) -> Answer:
    """Fit with hdsl: the first fit of the process apart, then `repeats` more."""
    found = _asked([sys.executable, "-m", "benchmarks.own", str(folder), str(repeats + 1), "auto", str(draws)])
    later = {key: median(found[key][1:]) for key in ("wall", "cpu", "ess")}
    return {**found, **later, "first": found["wall"][0], "runs": found["wall"][1:]}


def lme4(shape: Shape, folder: Path, repeats: int) -> Answer:
    """Fit with lme4: REML for Gaussian outcomes, Laplace's approximation of the likelihood for others."""
    command = ["Rscript", str(PEERS / "lme4.R"), str(folder / "bench.csv"), shape.formula, shape.family, str(repeats)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    times = {key: median(found[key] if isinstance(found[key], list) else [found[key]]) for key in ("wall", "cpu")}
    return {**found, **times}


def bambi(shape: Shape, folder: Path, seed: int, sampler: str) -> Answer:
    """Fit with bambi in the peers' environment, `.cache/peers`; compiling is counted, as its users wait for it."""
    groups = GROUPING.findall(shape.formula)
    spec = {
        "table": str(folder / "bench.csv"),
        "formula": shape.formula,
        "family": shape.family,
        "groups": groups,
        "priors": _bambi_priors(shape),
        "sampler": sampler,
        "chains": CHAINS,
        "draws": DRAWS,
        "tune": 1_000,
        "seed": seed,
    }
    (folder / "spec.json").write_text(json.dumps(spec))
    return _asked([str(peers_python()), str(PEERS / "fit_bambi.py"), str(folder / "spec.json")])


def _bambi_priors(shape: Shape) -> dict[str, Any]:
    def normal(text: str) -> dict[str, Any]:
        mu, sigma = normal_numbers(text)
        return {"name": "Normal", "mu": mu, "sigma": sigma}

    def half(text: str) -> dict[str, Any]:
        return {"name": "HalfNormal", "sigma": normal(text)["sigma"]}

    fixed, *effects = shape.formula.split("~")[1].split(" + (")
    found: dict[str, Any] = {"Intercept": normal(shape.priors["Intercept"])}
    found.update({name.strip(): normal(shape.priors["b"]) for name in fixed.split("+")})
    for effect in effects:
        terms, group = effect.rstrip(")").split("|")
        for term in terms.split("+"):
            name = f"{term.strip()}|{group.strip()}"
            found[name] = {"name": "Normal", "mu": 0, "sigma": half(shape.priors["sd"])}
    if "sigma" in shape.priors:
        found["sigma"] = half(shape.priors["sigma"])
    return found


def normal_numbers(text: str) -> tuple[float, float]:
    """Return the mean and the standard deviation of a normal prior as it is written."""
    mean, sd = text.removeprefix("normal(").removesuffix(")").split(",")
    return float(mean), float(sd)


def peers_python() -> Path:
    """Return the Python of the environment of the peers, made at first use from `peers/requirements.txt`."""
    folder = HERE.parent / ".cache" / "peers"
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--requirement", str(PEERS / "requirements.txt")]
        subprocess.run(install, check=True, timeout=TIMEOUT)
    return python


def brms(shape: Shape, folder: Path, seed: int) -> Answer:
    """Draw with the Stan program that brms writes; compiling is not counted."""
    stated = json.dumps(shape.priors)
    command = ["Rscript", str(PEERS / "brms.R"), str(folder / "bench.csv"), shape.formula, shape.family, stated]
    done = subprocess.run([*command, str(folder)], capture_output=True, text=True, timeout=TIMEOUT, check=True)
    version = json.loads(done.stdout.splitlines()[-1])["version"]
    program = folder / "brms.stan"
    program.write_text(ARRAY.sub(r"\1array[\4] \2 \3;", program.read_text()))
    return {**_cmdstan(folder / "brms.stan", folder / "brms.json", seed), "version": version}


def by_hand(shape: Shape, folder: Path, centred: bool) -> Path:
    """Write the data of the programs written by hand, and return the file."""
    import numpy as np
    from pyarrow import csv

    table = {name: column.to_numpy() for name, column in _columns(csv.read_csv(folder / "bench.csv")).items()}
    outcome, right = (part.strip() for part in shape.formula.split("~"))
    fixed = right.split(" + (")[0]
    groupings = GROUPING.findall(shape.formula)
    x = np.stack([table[name.strip()] for name in fixed.split("+")], axis=1)
    mean, sd = normal_numbers(shape.priors["Intercept"])
    data: dict[str, Any] = {"n": len(x), "p": x.shape[1], "X": x.tolist(), "y": table[outcome].tolist()}
    data |= {"mean_mu": mean, "sd_mu": sd, "centred": int(centred)}
    for name, grouping in zip("ab", groupings, strict=False):
        levels, codes = np.unique(table[grouping], return_inverse=True)
        data |= {name: (codes + 1).tolist(), f"n_{name}": len(levels)}
    path = folder / f"hand-{int(centred)}.json"
    path.write_text(json.dumps(data))
    return path


def _columns(table: Any) -> dict[str, Any]:
    return dict(zip(table.column_names, table.columns, strict=True))


def hand_stan(shape: Shape, folder: Path, seed: int, centred: bool) -> Answer:
    """Draw with the Stan program written by hand; compiling is not counted."""
    return _cmdstan(HERE / "hand" / "against" / f"{shape.by_hand}.stan", by_hand(shape, folder, centred), seed)


def hand_numpyro(shape: Shape, folder: Path, seed: int, centred: bool) -> Answer:
    """Draw with the NumPyro program written by hand, in the peers' environment; compiling is not counted."""
    program = [str(peers_python()), "-m", "benchmarks.hand.against.with_numpyro", shape.by_hand]
    return _asked([*program, str(by_hand(shape, folder, centred)), str(DRAWS), str(seed)])


def _cmdstan(program: Path, data: Path, seed: int) -> Answer:
    if "CMDSTAN" not in os.environ:
        raise RuntimeError("CMDSTAN is not set")
    asked = [str(program), str(data), str(CHAINS), str(DRAWS), str(seed)]
    return _asked([sys.executable, "-m", "benchmarks.cmdstan", *asked])


SAMPLERS: Mapping[str, Callable[[Shape, Path, int], Answer]] = {
    "bambi, nutpie": partial(bambi, sampler="nutpie"),
    "bambi, numpyro": partial(bambi, sampler="numpyro"),
    "brms's program, CmdStan": brms,
    "by hand, CmdStan, non-centred": partial(hand_stan, centred=False),
    "by hand, NumPyro, non-centred": partial(hand_numpyro, centred=False),
    "by hand, CmdStan, centred": partial(hand_stan, centred=True),
    "by hand, NumPyro, centred": partial(hand_numpyro, centred=True),
}


def _asked(command: list[str]) -> Answer:
    """Run a process of these benchmarks and return what it answers."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, cwd=HERE.parent, check=False)
    for line in reversed(done.stdout.splitlines()):
        if line.startswith("ANSWER "):
            return json.loads(line.removeprefix("ANSWER "))
    raise RuntimeError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "it said nothing")


def run(*, quick: bool, only: list[str], nuts: bool, output: Path) -> None:
    """Measure, size by size, and write JSON after each; what is there already of other sizes is kept.

    Without `nuts` the figures of the programs that sample by NUTS are kept too.
    """
    for shape, rows, groups in _sizes(quick, only):
        kept = [each for each in _read(output)["results"] if not _measured_again(each, shape.name, rows, nuts)]
        for answer in measure(shape, rows, groups, 2 if quick else REPEATS, nuts):
            kept.append(answer)
            print(told(answer), flush=True)
        _write(output, kept)


def run_best(*, only: list[str], output: Path) -> None:
    """Run the best of the programs that sample as often as hdsl, where it ran once; all else is kept."""
    for shape, rows, groups in _sizes(False, only):
        results = _read(output)["results"]
        here = {each["program"]: each for each in results if (each["shape"], each["rows"]) == (shape.name, rows)}
        best = best_of(here)
        if best is None:
            continue
        size = {"shape": shape.name, "rows": rows, "groups": groups, "program": best[0]}
        with tempfile.TemporaryDirectory() as place:
            shape.write(Path(place), rows, groups)
            once = {**size, **sampled(best[0], shape, Path(place), 1)}
            (answer,) = repeated([once], shape, Path(place), REPEATS)
        print(told(answer), flush=True)
        _write(output, [answer if each is here[best[0]] else each for each in results])


def _sizes(quick: bool, only: list[str]) -> Iterator[tuple[Shape, int, int]]:
    for shape in SHAPES:
        if not only or shape.name in only:
            for rows, groups in shape.sizes[: 1 if quick else None]:
                yield shape, rows, groups


def _read(output: Path) -> Answer:
    return json.loads(output.read_text()) if output.exists() else {"results": []}


def _write(output: Path, results: list[Answer]) -> None:
    text = json.dumps({**_read(output), "machine": machine(), "results": results}, indent=1)
    output.write_text(text + "\n")


def _measured_again(answer: Answer, shape: str, rows: int, nuts: bool) -> bool:
    return (answer["shape"], answer["rows"]) == (shape, rows) and (
        nuts or answer["program"].startswith(("hdsl", "lme4"))
    )


def run_curves(output: Path) -> None:
    """Measure the curves and write them beside the other results."""
    from benchmarks.curves import curves

    kept = {"machine": machine(), **_read(output)}
    found: list[Mapping[str, Any]] = []
    for each in curves():
        found.append(each)
        print(json.dumps(each), flush=True)
    output.write_text(json.dumps({**kept, "curves": found}, indent=1) + "\n")


def told(answer: Mapping[str, Any]) -> str:
    """Return a line for a terminal."""
    start = f"{answer['shape']:10} {answer['rows']:>9,} rows {answer['groups']:>7,} groups  {answer['program']:24}"
    if "failed" in answer:
        return f"{start} {answer['failed']}"
    ess = (
        f"  {answer['ess']:,.0f} effective draws, {answer['ess'] / answer['cpu']:,.1f} a CPU second"
        if "ess" in answer
        else ""
    )
    return f"{start} {answer['wall']:8.2f} s, {answer['cpu']:8.2f} CPU s{ess}"


def machine() -> dict[str, str]:
    """Return what the figures were measured with."""
    from importlib.metadata import version

    names = ("numpy", "scipy", "jax", "numpyro", "cmdstanpy", "duckdb", "polars")
    others = {"R": _r_version(), "CmdStan": _cmdstan_version()}
    processor = (
        next(
            (
                line.split(":")[1].strip()
                for line in Path("/proc/cpuinfo").read_text().splitlines()
                if "model name" in line
            ),
            platform.processor(),
        )
        if Path("/proc/cpuinfo").exists()
        else platform.processor()
    )
    cores = {"processor": processor, "cores": str(os.cpu_count()), "python": platform.python_version()}
    return {**cores, **{name: version(name) for name in names}, **{name: told for name, told in others.items() if told}}


def _r_version() -> str:
    try:
        asked = ["Rscript", "-e", "cat(as.character(getRversion()))"]
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    except (subprocess.SubprocessError, FileNotFoundError):
        return ""


def _cmdstan_version() -> str:
    makefile = Path(os.environ.get("CMDSTAN", "")) / "makefile"
    text = makefile.read_text() if makefile.exists() else ""
    found = re.search(r"^CMDSTAN_VERSION\s*:?=\s*(\S+)", text, re.MULTILINE)
    return "" if found is None else found[1]
