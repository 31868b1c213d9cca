"""Functions that a program holds where it needs them; each stands before those that use it."""

from __future__ import annotations

from collections.abc import Mapping

HELPERS: Mapping[str, str] = {
    "lowrank_covariance": '''
def lowrank_covariance(sd, factor):
    """The covariance diag(sd^2) + factor factor'."""
    return pt.square(sd)[..., None] * pt.eye(factor.shape[-2]) + factor @ pt.matrix_transpose(factor)
''',
    "log_ndtr": '''
def log_ndtr(z):
    """Log of the standard normal distribution function."""
    low, high = pt.minimum(z, -1.0), pt.maximum(z, -1.0)
    tail = pt.log(0.5 * pt.erfcx(-low / np.sqrt(2.0))) - 0.5 * low**2
    return pt.where(z < -1.0, tail, pt.log1p(-0.5 * pt.erfc(high / np.sqrt(2.0))))
''',
    "groups_logp": '''
def groups_logp(rows, value, mean, sd, factor):
    """Log density of normal vectors with the covariance diag(sd^2) + factor factor'.

    Of all groups at once: entry L[i, j] holds those of their Cholesky factors,
    z = L^-1 (value - mean).
    """
    L, z, total = {}, [], -0.5 * rows * np.log(2.0 * np.pi)
    for i in range(rows):
        left = value[..., i] - mean[..., i]
        for j in range(i):
            shared = pt.sum(factor[..., i, :] * factor[..., j, :], axis=-1)
            L[i, j] = (shared - sum(L[i, k] * L[j, k] for k in range(j))) / L[j, j]
            left = left - L[i, j] * z[j]
        variance = pt.square(sd[..., i]) + pt.sum(pt.square(factor[..., i, :]), axis=-1)
        L[i, i] = pt.sqrt(variance - sum(pt.square(L[i, k]) for k in range(i)))
        z.append(left / L[i, i])
        total = total - 0.5 * pt.square(z[i]) - pt.log(L[i, i])
    return total
''',
    "nested_logp": '''
def nested_logp(rows, value, mean, sd, factor, larger):
    """Log density of the rows of groups (groups, rows) with all that they share integrated out.

    Rows of a group share factor factor' beside sd^2, those of larger units columns columns': `larger` lists the
    columns, their number, the unit of each group, then of each unit, and the number of units, level by level.
    Columns and outcome (last) are whitened: L[i, j] is an entry of all groups' Cholesky factors. S holds sums of
    their products by unit, from which the effects of the units are eliminated, the innermost first.
    """
    left = [columns[..., k] for columns, count, _, _ in larger for k in range(count)] + [value - mean]
    L, white = {}, []
    for i in range(rows):
        row = [each[..., i] for each in left]
        for j in range(i):
            shared = pt.sum(factor[..., i, :] * factor[..., j, :], axis=-1)
            L[i, j] = (shared - sum(L[i, k] * L[j, k] for k in range(j))) / L[j, j]
            row = [each - L[i, j] * done for each, done in zip(row, white[j])]
        variance = pt.square(sd[..., i]) + pt.sum(pt.square(factor[..., i, :]), axis=-1)
        L[i, i] = pt.sqrt(variance - sum(pt.square(L[i, k]) for k in range(i)))
        white.append([each / L[i, i] for each in row])
    S = [[sum(row[a] * row[b] for row in white) for b in range(a + 1)] for a in range(len(left))]
    S[-1][-1] += sum(2.0 * pt.log(L[i, i]) for i in range(rows)) + rows * np.log(2.0 * np.pi)
    for _, count, unit, units in larger:
        S = [[pt.inc_subtensor(pt.zeros(units)[unit], entry) for entry in row] for row in S]
        for _ in range(count):
            root = pt.sqrt(1.0 + S[0][0])
            below = [row[0] / root for row in S[1:]]
            S = [[row[b + 1] - below[a] * below[b] for b in range(a + 1)] for a, row in enumerate(S[1:])]
            S[-1][-1] += 2.0 * pt.log(root)
    return -0.5 * pt.sum(S[0][0])
''',
    "skewnormal_logp": '''
def skewnormal_logp(value, loc, scale, shape):
    """Log density of Azzalini's skew normal distribution."""
    z = (value - loc) / scale
    return np.log(2.0) - 0.5 * np.log(2.0 * np.pi) - 0.5 * z**2 - pt.log(scale) + log_ndtr(shape * z)
''',
    "asymmetric_laplace_logp": '''
def asymmetric_laplace_logp(value, quantile, scale, p):
    """Log density of the asymmetric Laplace distribution whose p-quantile is `quantile`."""
    z = (value - quantile) / scale
    return pt.log(p) + pt.log1p(-p) - pt.log(scale) - z * (p - pt.where(z < 0, 1.0, 0.0))
''',
    "negbinomial_logp": '''
def negbinomial_logp(value, logmean, shape):
    """Log probability of a count of mean exp(logmean) and variance mean + mean^2 / shape."""
    ways = pt.gammaln(value + shape) - pt.gammaln(shape) - pt.gammaln(value + 1.0)
    odds = logmean - pt.log(shape)
    return ways - shape * pt.softplus(odds) - value * pt.softplus(-odds)
''',
    "hurdle_logp": '''
def hurdle_logp(value, above, zero):
    """0 with probability `zero`; otherwise of log density `above`."""
    return pt.where(pt.eq(value, 0), pt.log(zero), pt.log1p(-zero) + above)
''',
    "hurdle_poisson_logp": '''
def hurdle_poisson_logp(value, logmean, zero):
    """0 with probability `zero`; otherwise a Poisson count, given that it is not 0."""
    mean = pt.exp(logmean)
    above = value * logmean - mean - pt.gammaln(value + 1.0) - pt.log(-pt.expm1(-mean))
    return hurdle_logp(value, above, zero)
''',
    "hurdle_negbinomial_logp": '''
def hurdle_negbinomial_logp(value, logmean, shape, zero):
    """0 with probability `zero`; otherwise a negative binomial count, given that it is not 0."""
    none = -shape * pt.softplus(logmean - pt.log(shape))
    above = negbinomial_logp(value, logmean, shape) - pt.log(-pt.expm1(none))
    return hurdle_logp(value, above, zero)
''',
    "hurdle_lognormal_logp": '''
def hurdle_lognormal_logp(value, mu, sigma, zero):
    """0 with probability `zero`; otherwise lognormal."""
    positive = pt.where(pt.eq(value, 0), 1.0, value)
    return hurdle_logp(value, pm.logp(pm.LogNormal.dist(mu, sigma), positive), zero)
''',
    "hurdle_gamma_logp": '''
def hurdle_gamma_logp(value, mean, shape, zero):
    """0 with probability `zero`; otherwise gamma with the given mean."""
    positive = pt.where(pt.eq(value, 0), 1.0, value)
    return hurdle_logp(value, pm.logp(pm.Gamma.dist(shape, shape / mean), positive), zero)
''',
    "category_bounds": '''
def category_bounds(value, eta, cutpoints):
    """The cutpoints below and above the category, less eta."""
    edge = 1e8 * pt.ones_like(cutpoints[..., :1])
    edges = pt.concatenate([-edge, cutpoints, edge], axis=-1)
    category = pt.cast(value, "int64")
    if edges.ndim == 1:
        return edges[category] - eta, edges[category + 1] - eta
    low, high = (pt.take_along_axis(edges, at[..., None], axis=-1)[..., 0] for at in (category, category + 1))
    return low - eta, high - eta
''',
    "ordinal_logit_logp": '''
def ordinal_logit_logp(value, eta, cutpoints):
    """Log probability of the category (0, 1, ...) where a logistic variable falls between cutpoints."""
    low, high = category_bounds(value, eta, cutpoints)
    return -pt.softplus(-high) - pt.softplus(low) + pt.log1p(-pt.exp(low - high))
''',
    "ordinal_probit_logp": '''
def ordinal_probit_logp(value, eta, cutpoints):
    """Log probability of the category (0, 1, ...) where a normal variable falls between cutpoints."""
    low, high = category_bounds(value, eta, cutpoints)
    low, high = pt.where(low > 0, -high, low), pt.where(low > 0, -low, high)
    above = log_ndtr(high)
    return above + pt.log1p(-pt.exp(log_ndtr(low) - above))
''',
    "categorical_logp": '''
def categorical_logp(value, logits):
    """Log probability of the category (0, 1, ...) with the given log odds."""
    logp = pt.special.log_softmax(logits, axis=-1)
    category = pt.cast(value, "int64")
    if logp.ndim == 1:
        return logp[category]
    return pt.take_along_axis(logp, category[..., None], axis=-1)[..., 0]
''',
}
