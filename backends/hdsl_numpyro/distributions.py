"""How each distribution is written with NumPyro.

Templates name the parameters of `hdsl.model.distributions`; `{x:*}` puts parentheses around x where it is to
be a factor of a product. `{value}` is the observed variable and `{event}` the size of the last event dim.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from hdsl.model.array_source import larger_units
from hdsl.model.distributions import NESTED


class Row(NamedTuple):
    """A distribution's constructor; or, where `log_prob` is set, the log probability of `{value}`.

    `full` names parameters that must be given over the event dim.
    """

    template: str
    log_prob: bool = False
    full: tuple[str, ...] = ()


def _nested(name: str) -> Row:
    arguments = f"{{value}}, {{mean}}, {{sd}}, {{factor}}, {larger_units(name)}"
    return Row(f"nested_log_prob({arguments})", log_prob=True, full=("mean", "sd"))


DISTRIBUTIONS: Mapping[str, Row] = {
    "normal": Row("dist.Normal({mean}, {sd})"),
    "student": Row("dist.StudentT({df}, {mean}, {scale})"),
    "cauchy": Row("dist.Cauchy({location}, {scale})"),
    "laplace": Row("dist.Laplace({mean}, {scale})"),
    "logistic": Row("dist.Logistic({mean}, {scale})"),
    "skewnormal": Row("SkewNormal({location}, {scale}, {shape})"),
    "asymmetric_laplace": Row("dist.AsymmetricLaplaceQuantile({quantile}, {scale}, {probability})"),
    "normal_mixture": Row("NormalMixture({logits}, {means}, {sds})"),
    "halfnormal": Row("dist.HalfNormal({sd})"),
    "halfstudent": Row("dist.FoldedDistribution(dist.StudentT({df}, 0.0, {scale}))"),
    "halfcauchy": Row("dist.HalfCauchy({scale})"),
    "exponential": Row("dist.Exponential({rate})"),
    "lognormal": Row("dist.LogNormal({meanlog}, {sdlog})"),
    "gamma": Row("dist.Gamma({shape}, {rate})"),
    "gamma_mean": Row("dist.Gamma({shape}, {shape:*} / {mean:*})"),
    "inverse_gamma": Row("dist.InverseGamma({shape}, {scale})"),
    "weibull": Row("dist.Weibull({scale}, {shape})"),
    "uniform": Row("dist.Uniform({low}, {high})"),
    "beta": Row("dist.Beta({a}, {b})"),
    "beta_mean": Row("dist.BetaProportion({mean}, {precision})"),
    "bernoulli_logit": Row("dist.Bernoulli(logits={logit})"),
    "bernoulli": Row("dist.Bernoulli(probs={probability})"),
    "binomial_logit": Row("binomial_logit_log_prob({value}, {trials}, {logit})", log_prob=True),
    "binomial": Row("dist.Binomial({trials}, probs={probability})"),
    "betabinomial_logit": Row("betabinomial_log_prob({value}, {trials}, {logit}, {precision})", log_prob=True),
    "poisson_log": Row("dist.Poisson(jnp.exp({logmean}))"),
    "negbinomial_log": Row("negbinomial_log_prob({value}, {logmean}, {shape})", log_prob=True),
    "zipoisson_log": Row("dist.ZeroInflatedPoisson({zero}, rate=jnp.exp({logmean}))"),
    "hurdle_poisson_log": Row(
        "hurdle_count_log_prob({value}, dist.Poisson(jnp.exp({logmean})).log_prob, {zero})", log_prob=True
    ),
    "hurdle_negbinomial_log": Row(
        "hurdle_count_log_prob({value}, lambda k: negbinomial_log_prob(k, {logmean}, {shape}), {zero})",
        log_prob=True,
    ),
    "hurdle_lognormal": Row("hurdle_log_prob({value}, dist.LogNormal({meanlog}, {sdlog}), {zero})", log_prob=True),
    "hurdle_gamma": Row("hurdle_log_prob({value}, dist.Gamma({shape}, {shape:*} / {mean:*}), {zero})", log_prob=True),
    "ordinal_logit": Row("ordinal_logit_log_prob({value}, {location}, {cutpoints})", log_prob=True),
    "ordinal_probit": Row("ordinal_probit_log_prob({value}, {location}, {cutpoints})", log_prob=True),
    "categorical_logit": Row("dist.Categorical(logits={logits})"),
    "multinormal_cholesky": Row("dist.MultivariateNormal({mean}, scale_tril={cholesky})"),
    "multinormal_lowrank": Row("LowRankNormal({mean}, {sd}, {factor})", full=("mean", "sd")),
    **{name: _nested(name) for name in NESTED.values()},
    "lkj_cholesky": Row("dist.LKJCholesky({event}, {eta})"),
    "ordered_normal": Row("OrderedNormal({mean}, {sd})", full=("mean",)),
    "dirichlet": Row("dist.Dirichlet({concentration})", full=("concentration",)),
}

# The log probability of lasting beyond {value}, for censored durations.
SURVIVAL: Mapping[str, str] = {
    "normal": "jax.scipy.special.log_ndtr(({mean:*} - {value}) / {sd:*})",
    "cauchy": "jnp.log(jnp.arctan2({scale}, {value} - {location:*}) / jnp.pi)",
    "logistic": "jax.nn.log_sigmoid(({mean:*} - {value}) / {scale:*})",
    "halfnormal": "jnp.log(2.0) + jax.scipy.special.log_ndtr(-{value} / {sd:*})",
    "halfcauchy": "jnp.log(2.0 / jnp.pi * jnp.arctan2({scale}, {value}))",
    "exponential": "-{rate:*} * {value}",
    "lognormal": "jax.scipy.special.log_ndtr(({meanlog:*} - jnp.log({value})) / {sdlog:*})",
    "gamma": "jnp.log(jax.scipy.special.gammaincc({shape}, {rate:*} * {value}))",
    "gamma_mean": "jnp.log(jax.scipy.special.gammaincc({shape}, {shape:*} / {mean:*} * {value}))",
    "inverse_gamma": "jnp.log(jax.scipy.special.gammainc({shape}, {scale:*} / {value}))",
    "weibull": "-(({value} / {scale:*}) ** {shape:*})",
    "uniform": "jnp.log(({high:*} - {value}) / ({high:*} - {low:*}))",
}

# Definitions that a program holds where it needs them; each stands before those that use it.
HELPERS: Mapping[str, str] = {
    "LowRankNormal": '''
class LowRankNormal(dist.Distribution):
    """Normal vectors with the covariance diag(sd^2) + factor factor'.

    Of all vectors at once: entry L[i, j] holds those of their Cholesky factors,
    z = L^-1 (value - mean).
    """

    support = dist.constraints.real_vector
    reparametrized_params = ["loc", "scale", "factor"]

    def __init__(self, loc, scale, factor):
        self.loc, self.scale, self.factor = loc, scale, factor
        batch = jnp.broadcast_shapes(loc.shape[:-1], scale.shape[:-1], factor.shape[:-2])
        super().__init__(batch, factor.shape[-2:-1])

    def sample(self, key, sample_shape=()):
        own, shared = jax.random.split(key)
        shape = (*sample_shape, *self.batch_shape)
        z = jax.random.normal(shared, (*shape, self.factor.shape[-1]))
        noise = self.scale * jax.random.normal(own, (*shape, *self.event_shape))
        return self.loc + noise + jnp.einsum("...ij,...j->...i", self.factor, z)

    def log_prob(self, value):
        rows, factor = self.event_shape[0], self.factor
        L, z, total = {}, [], -0.5 * rows * jnp.log(2.0 * jnp.pi)
        for i in range(rows):
            left = value[..., i] - self.loc[..., i]
            for j in range(i):
                shared = jnp.sum(factor[..., i, :] * factor[..., j, :], axis=-1)
                L[i, j] = (shared - sum(L[i, k] * L[j, k] for k in range(j))) / L[j, j]
                left = left - L[i, j] * z[j]
            variance = self.scale[..., i] ** 2 + jnp.sum(factor[..., i, :] ** 2, axis=-1)
            L[i, i] = jnp.sqrt(variance - sum(L[i, k] ** 2 for k in range(i)))
            z.append(left / L[i, i])
            total = total - 0.5 * z[i] ** 2 - jnp.log(L[i, i])
        return total
''',
    "nested_log_prob": '''
def nested_log_prob(value, mean, sd, factor, larger):
    """Log density of the rows of groups (groups, rows) with all that they share integrated out.

    Rows of a group share factor factor' beside sd^2, those of larger units columns columns': `larger` lists the
    columns, their number, the unit of each group, then of each unit, and the number of units, level by level.
    Columns and outcome (last) are whitened: L[i, j] is an entry of all groups' Cholesky factors. S holds sums of
    their products by unit, from which the effects of the units are eliminated, the innermost first.
    """
    left = [columns[..., k] for columns, count, _, _ in larger for k in range(count)] + [value - mean]
    rows, L, white = value.shape[-1], {}, []
    for i in range(rows):
        row = [each[..., i] for each in left]
        for j in range(i):
            shared = jnp.sum(factor[..., i, :] * factor[..., j, :], axis=-1)
            L[i, j] = (shared - sum(L[i, k] * L[j, k] for k in range(j))) / L[j, j]
            row = [each - L[i, j] * done for each, done in zip(row, white[j])]
        variance = jnp.square(sd[..., i]) + jnp.sum(jnp.square(factor[..., i, :]), axis=-1)
        L[i, i] = jnp.sqrt(variance - sum(jnp.square(L[i, k]) for k in range(i)))
        white.append([each / L[i, i] for each in row])
    S = [[sum(row[a] * row[b] for row in white) for b in range(a + 1)] for a in range(len(left))]
    S[-1][-1] += sum(2.0 * jnp.log(L[i, i]) for i in range(rows)) + rows * jnp.log(2.0 * jnp.pi)
    for _, count, unit, units in larger:
        S = [[jax.ops.segment_sum(entry, unit, units) for entry in row] for row in S]
        for _ in range(count):
            root = jnp.sqrt(1.0 + S[0][0])
            below = [row[0] / root for row in S[1:]]
            S = [[row[b + 1] - below[a] * below[b] for b in range(a + 1)] for a, row in enumerate(S[1:])]
            S[-1][-1] += 2.0 * jnp.log(root)
    return -0.5 * jnp.sum(S[0][0])
''',
    "SkewNormal": '''
class SkewNormal(dist.Distribution):
    """Azzalini's skew normal distribution."""

    support = dist.constraints.real
    reparametrized_params = ["loc", "scale", "shape"]

    def __init__(self, loc, scale, shape):
        self.loc, self.scale, self.shape_ = loc, scale, shape
        super().__init__(jnp.broadcast_shapes(jnp.shape(loc), jnp.shape(scale), jnp.shape(shape)))

    def sample(self, key, sample_shape=()):
        above, other = jax.random.normal(key, (2, *sample_shape, *self.batch_shape))
        delta = self.shape_ / jnp.sqrt(1 + self.shape_**2)
        return self.loc + self.scale * (delta * jnp.abs(above) + jnp.sqrt(1 - delta**2) * other)

    def log_prob(self, value):
        z = (value - self.loc) / self.scale
        tilt = jax.scipy.special.log_ndtr(self.shape_ * z)
        return jnp.log(2.0) + jax.scipy.stats.norm.logpdf(z) - jnp.log(self.scale) + tilt
''',
    "NormalMixture": '''
class NormalMixture(dist.Distribution):
    """A mixture of normals, its components along the last axis."""

    support = dist.constraints.real

    def __init__(self, logits, loc, scale):
        self.logits, self.loc, self.scale = jnp.broadcast_arrays(logits, loc, scale)
        super().__init__(self.logits.shape[:-1])

    def sample(self, key, sample_shape=()):
        which, other = jax.random.split(key)
        shape = (*sample_shape, *self.batch_shape)
        full = (*shape, self.logits.shape[-1])
        kind = jax.random.categorical(which, jnp.broadcast_to(self.logits, full))[..., None]
        loc, scale = (
            jnp.take_along_axis(jnp.broadcast_to(each, full), kind, axis=-1)[..., 0] for each in (self.loc, self.scale)
        )
        return loc + scale * jax.random.normal(other, shape)

    def log_prob(self, value):
        each = dist.Normal(self.loc, self.scale).log_prob(jnp.asarray(value)[..., None])
        return jax.nn.logsumexp(jax.nn.log_softmax(self.logits) + each, axis=-1)
''',
    "OrderedNormal": '''
class OrderedNormal(dist.Distribution):
    """Independent normal variables, given that they increase."""

    support = dist.constraints.ordered_vector

    def __init__(self, loc, scale):
        self.normal = dist.Normal(loc, scale)
        *batch, size = self.normal.batch_shape
        super().__init__(tuple(batch), (size,))

    def sample(self, key, sample_shape=()):
        return jnp.sort(self.normal.sample(key, sample_shape), axis=-1)

    def log_prob(self, value):
        return self.normal.log_prob(value).sum(-1) + jax.scipy.special.gammaln(value.shape[-1] + 1.0)
''',
    "binomial_logit_log_prob": '''
def binomial_logit_log_prob(y, trials, logit):
    """Log probability of y successes, without the binomial coefficient: no parameter bears on it."""
    return y * logit - trials * jax.nn.softplus(logit)
''',
    "betabinomial_log_prob": '''
def betabinomial_log_prob(y, trials, logit, precision):
    """Log probability of y successes, without the binomial coefficient: no parameter bears on it."""
    gammaln = jax.scipy.special.gammaln
    up, down = precision * jax.nn.sigmoid(logit), precision * jax.nn.sigmoid(-logit)
    some = gammaln(y + up) - gammaln(up) + gammaln(trials - y + down) - gammaln(down)
    return some - gammaln(trials + precision) + gammaln(precision)
''',
    "negbinomial_log_prob": '''
def negbinomial_log_prob(y, logmean, shape):
    """Log probability of the count y, of mean exp(logmean) and variance mean + mean^2 / shape."""
    gammaln = jax.scipy.special.gammaln
    ways = gammaln(y + shape) - gammaln(shape) - gammaln(y + 1.0)
    odds = logmean - jnp.log(shape)
    return ways - shape * jax.nn.softplus(odds) - y * jax.nn.softplus(-odds)
''',
    "hurdle_count_log_prob": '''
def hurdle_count_log_prob(y, log_prob, zero):
    """0 with probability `zero`; otherwise a count of the given log probability, given that it is not 0."""
    above = log_prob(y) - jnp.log(-jnp.expm1(log_prob(0)))
    return jnp.where(y == 0, jnp.log(zero), jnp.log1p(-zero) + above)
''',
    "hurdle_log_prob": '''
def hurdle_log_prob(y, positive, zero):
    """0 with probability `zero`; otherwise `positive`."""
    above = positive.log_prob(jnp.where(y == 0, 1.0, y))
    return jnp.where(y == 0, jnp.log(zero), jnp.log1p(-zero) + above)
''',
    "category_bounds": '''
def category_bounds(y, location, cutpoints):
    """The cutpoints below and above category y, less the location."""
    edge = jnp.full((*cutpoints.shape[:-1], 1), 1e8)
    edges = jnp.concatenate([-edge, cutpoints, edge], axis=-1)
    if edges.ndim == 1:
        return edges[y] - location, edges[y + 1] - location
    low, high = (jnp.take_along_axis(edges, at[..., None], axis=-1)[..., 0] for at in (y, y + 1))
    return low - location, high - location
''',
    "ordinal_logit_log_prob": '''
def ordinal_logit_log_prob(y, location, cutpoints):
    """Log probability of category y (0, 1, ...) where a logistic variable falls between cutpoints."""
    low, high = category_bounds(y, location, cutpoints)
    inside = jnp.log1p(-jnp.exp(low - high))
    return jax.nn.log_sigmoid(high) + jax.nn.log_sigmoid(-low) + inside
''',
    "ordinal_probit_log_prob": '''
def ordinal_probit_log_prob(y, location, cutpoints):
    """Log probability of category y (0, 1, ...) where a normal variable falls between cutpoints."""
    low, high = category_bounds(y, location, cutpoints)
    low, high = jnp.where(low > 0, -high, low), jnp.where(low > 0, -low, high)
    above = jax.scipy.special.log_ndtr(high)
    return above + jnp.log1p(-jnp.exp(jax.scipy.special.log_ndtr(low) - above))
''',
}
