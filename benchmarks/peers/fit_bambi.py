"""bambi's fit, in an environment of its own: python fit_bambi.py SPEC.json, one line of JSON.

SPEC: table, formula, family, priors (name to [distribution, numbers by name]), sampler, chains, draws, tune, seed.
"""

import json
import resource
import sys
import time
import warnings
from pathlib import Path


def cpu() -> float:
    found = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in found)


def memory() -> float:
    return max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024


def main() -> None:
    warnings.simplefilter("ignore")
    import arviz_stats
    import bambi as bmb
    import numpy as np
    import pandas as pd

    spec = json.loads(Path(sys.argv[1]).read_text())
    table = pd.read_csv(spec["table"])
    for name in spec["groups"]:
        table[name] = table[name].astype("category")
    priors = {name: prior(bmb, given) for name, given in spec["priors"].items()}
    model = bmb.Model(spec["formula"], table, family=spec["family"], priors=priors)
    model.build()
    options = {"chains": spec["chains"], "draws": spec["draws"], "tune": spec["tune"], "random_seed": spec["seed"]}
    began, used = time.perf_counter(), cpu()
    if spec["sampler"] == "numpyro":
        found = model.fit(inference_method="numpyro", **options)
    else:
        found = model.fit(inference_method=spec["sampler"], cores=2, progressbar=False, **options)
    wall, cpu_used = time.perf_counter() - began, cpu() - used
    posterior = found["posterior"].to_dataset()
    chosen = [name for name in posterior.data_vars if not name.endswith("_offset") and name != "p" and name != "mu"]
    ess = arviz_stats.ess(posterior[chosen], method="bulk")
    least = min(float(np.nanmin(ess[name].values)) for name in chosen)
    version = f"bambi {bmb.__version__}"
    answer = {"wall": wall, "cpu": cpu_used, "ess": least, "version": version, "memory": memory()}
    print("ANSWER " + json.dumps(answer), flush=True)


def prior(bmb, given):
    if isinstance(given, dict) and "name" in given:
        numbers = {k: (prior(bmb, v) if isinstance(v, dict) else v) for k, v in given.items() if k != "name"}
        return bmb.Prior(given["name"], **numbers)
    return given


if __name__ == "__main__":
    main()
