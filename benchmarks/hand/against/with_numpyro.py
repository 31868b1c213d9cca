"""The designs of `benchmarks.shapes` by hand in NumPyro.

    python -m benchmarks.hand.against.with_numpyro PROGRAM DATA DRAWS SEED

DATA is what the Stan programs beside read; `centred` says whether effects are sampled as they are, or as standard
normal draws times their spread. One line of JSON; compiling is not counted.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np


def intercepts(data: Any) -> None:
    """Intercepts that vary across one grouping or two; a Gaussian or a binary outcome."""
    import jax.numpy as jnp
    import numpyro.distributions as dist
    from numpyro import deterministic, sample

    mean = _fixed(data)
    for name in ("a", "b"):
        if name in data:
            sd = sample(f"sd_{name}", dist.HalfNormal(5))
            size = data[f"n_{name}"]
            law = dist.Normal(0, sd if data["centred"] else 1.0)
            z = sample(f"z_{name}", law.expand([size]).to_event(1))
            effect = deterministic(f"effect_{name}", z if data["centred"] else sd * z)
            mean = mean + effect[data[name]]
    if jnp.issubdtype(data["y"].dtype, jnp.integer):
        sample("y", dist.Bernoulli(logits=mean), obs=data["y"])
    else:
        sample("y", dist.Normal(mean, sample("sigma", dist.HalfNormal(10))), obs=data["y"])


def correlated(data: Any) -> None:
    """Intercept and effect of the first column vary together across one grouping."""
    import numpyro.distributions as dist
    from numpyro import deterministic, sample

    mean = _fixed(data)
    sd = sample("sd_a", dist.HalfNormal(5).expand([2]).to_event(1))
    factor = sample("L", dist.LKJCholesky(2, 2))
    deterministic("rho", factor[1, 0])
    spread = sd[:, None] * factor
    if data["centred"]:
        z = sample("z", dist.MultivariateNormal(0, scale_tril=spread).expand([data["n_a"]]).to_event(1))
        effect = deterministic("effect_a", z)
    else:
        z = sample("z", dist.Normal(0, 1).expand([data["n_a"], 2]).to_event(2))
        effect = deterministic("effect_a", z @ spread.T)
    mean = mean + effect[data["a"], 0] + effect[data["a"], 1] * data["X"][:, 0]
    sample("y", dist.Normal(mean, sample("sigma", dist.HalfNormal(10))), obs=data["y"])


def _fixed(data: Any) -> Any:
    import numpyro.distributions as dist
    from numpyro import sample

    mu = sample("mu", dist.Normal(data["mean_mu"], data["sd_mu"]))
    beta = sample("beta", dist.Normal(0, 5).expand([data["X"].shape[1]]).to_event(1))
    return mu + data["X"] @ beta


def main() -> None:
    """Draw, and answer."""
    import numpyro

    numpyro.set_host_device_count(4)
    numpyro.enable_x64()
    import jax
    import jax.numpy as jnp
    from numpyro.infer import MCMC, NUTS

    from benchmarks.measures import Clock, in_parallel, least_effective, memory

    stated, draws = json.loads(Path(sys.argv[2]).read_text()), int(sys.argv[3])
    data = {name: jnp.asarray(value) if isinstance(value, list) else value for name, value in stated.items()}
    data |= {name: data[name] - 1 for name in ("a", "b") if name in data}
    model = correlated if sys.argv[1] == "correlated" else intercepts
    clock = Clock()
    counts = {"num_warmup": 1000, "num_samples": draws, "num_chains": 4}
    mcmc = MCMC(NUTS(model), **counts, chain_method=in_parallel(clock), progress_bar=False)
    mcmc.run(jax.random.key(int(sys.argv[4])), data)
    drawn = mcmc.get_samples(group_by_chain=True)
    values = {name: np.asarray(value) for name, value in drawn.items() if not name.startswith(("z", "L"))}
    answer = {"wall": clock.wall, "cpu": clock.cpu, "ess": least_effective(values), "memory": memory()}
    print("ANSWER " + json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
