"""What a report cites: the works behind a result, as entries of a bibliography."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hdsl.design import ir

if TYPE_CHECKING:
    from hdsl.report.result import Result


@dataclass(frozen=True)
class Work:
    """A work: its BibTeX type and fields, in order."""

    key: str
    kind: str
    fields: Mapping[str, str]

    @property
    def bibtex(self) -> str:
        """The entry as BibTeX."""
        lines = [f"  {name} = {{{value}}}," for name, value in self.fields.items()]
        return "\n".join([f"@{self.kind}{{{self.key},", *lines, "}"])

    @property
    def text(self) -> str:
        """The entry as a line of a reference list."""
        f = self.fields
        names = [name.split(", ")[0].replace('{\\"u}', "ü") for name in f["author"].split(" and ")]
        several = f"{names[0]} et al." if len(names) > 3 else f"{', '.join(names[:-1])} & {names[-1]}"
        authors = several if len(names) > 1 else names[0]
        where = f.get("journal") or f.get("booktitle") or f.get("publisher", "")
        place = " ".join(part for part in (f.get("volume", ""), f.get("pages", "").replace("--", "–")) if part)
        return f"{authors} ({f['year']}). {f['title']}. {where}{f' {place}' if place else ''}."


def _work(key: str, kind: str, author: str, year: str, title: str, **more: str) -> Work:
    return Work(key, kind, {"author": author, "year": year, "title": title, **more})


DESIGN = _work(
    "feller2015",
    "incollection",
    "Feller, Avi and Gelman, Andrew",
    "2015",
    "Hierarchical Models for Causal Effects",
    booktitle="Emerging Trends in the Social and Behavioral Sciences",
    publisher="Wiley",
)
POTENTIAL = _work(
    "rubin1974",
    "article",
    "Rubin, Donald B.",
    "1974",
    "Estimating Causal Effects of Treatments in Randomized and Nonrandomized Studies",
    journal="Journal of Educational Psychology",
    volume="66",
    pages="688--701",
)
NUTS = _work(
    "hoffman2014",
    "article",
    "Hoffman, Matthew D. and Gelman, Andrew",
    "2014",
    "The No-U-Turn Sampler: Adaptively Setting Path Lengths in Hamiltonian Monte Carlo",
    journal="Journal of Machine Learning Research",
    volume="15",
    pages="1593--1623",
)
PSIS = _work(
    "vehtari2024",
    "article",
    "Vehtari, Aki and Simpson, Daniel and Gelman, Andrew and Yao, Yuling and Gabry, Jonah",
    "2024",
    "Pareto Smoothed Importance Sampling",
    journal="Journal of Machine Learning Research",
    volume="25",
    pages="1--58",
)
QUADRATURE = _work(
    "pinheiro1995",
    "article",
    "Pinheiro, Jos{\\'e} C. and Bates, Douglas M.",
    "1995",
    "Approximations to the Log-Likelihood Function in the Nonlinear Mixed-Effects Model",
    journal="Journal of Computational and Graphical Statistics",
    volume="4",
    pages="12--35",
)
RHAT = _work(
    "vehtari2021",
    "article",
    'Vehtari, Aki and Gelman, Andrew and Simpson, Daniel and Carpenter, Bob and B{\\"u}rkner, Paul-Christian',
    "2021",
    "Rank-Normalization, Folding, and Localization: An Improved R-hat for Assessing Convergence of MCMC",
    journal="Bayesian Analysis",
    volume="16",
    pages="667--718",
)
CHECKS = _work(
    "gabry2019",
    "article",
    "Gabry, Jonah and Simpson, Daniel and Vehtari, Aki and Betancourt, Michael and Gelman, Andrew",
    "2019",
    "Visualization in Bayesian Workflow",
    journal="Journal of the Royal Statistical Society: Series A",
    volume="182",
    pages="389--402",
)
LKJ = _work(
    "lewandowski2009",
    "article",
    "Lewandowski, Daniel and Kurowicka, Dorota and Joe, Harry",
    "2009",
    "Generating Random Correlation Matrices Based on Vines and Extended Onion Method",
    journal="Journal of Multivariate Analysis",
    volume="100",
    pages="1989--2001",
)
ARVIZ = _work(
    "kumar2019",
    "article",
    "Kumar, Ravin and Carroll, Colin and Hartikainen, Ari and Martin, Osvaldo",
    "2019",
    "ArviZ: A Unified Library for Exploratory Analysis of Bayesian Models in Python",
    journal="Journal of Open Source Software",
    volume="4",
    pages="1143",
)
STRATA = _work(
    "frangakis2002",
    "article",
    "Frangakis, Constantine E. and Rubin, Donald B.",
    "2002",
    "Principal Stratification in Causal Inference",
    journal="Biometrics",
    volume="58",
    pages="21--29",
)
MUNDLAK = _work(
    "mundlak1978",
    "article",
    "Mundlak, Yair",
    "1978",
    "On the Pooling of Time Series and Cross Section Data",
    journal="Econometrica",
    volume="46",
    pages="69--85",
)
SPLINES = _work(
    "wood2017",
    "book",
    "Wood, Simon N.",
    "2017",
    "Generalized Additive Models: An Introduction with R",
    publisher="Chapman and Hall/CRC",
)
QUANTILES = _work(
    "yang2016",
    "article",
    "Yang, Yunwen and Wang, Huixia Judy and He, Xuming",
    "2016",
    "Posterior Inference in Bayesian Quantile Regression with Asymmetric Laplace Likelihood",
    journal="International Statistical Review",
    volume="84",
    doi="10.1111/insr.12114",
)
SCORES = _work(
    "lunceford2004",
    "article",
    "Lunceford, Jared K. and Davidian, Marie",
    "2004",
    "Stratification and Weighting via the Propensity Score in Estimation of Causal Treatment Effects: "
    "A Comparative Study",
    journal="Statistics in Medicine",
    volume="23",
    pages="2937--2960",
    doi="10.1002/sim.1903",
)
GP = _work(
    "riutort2023",
    "article",
    'Riutort-Mayol, Gabriel and B{\\"u}rkner, Paul-Christian and Andersen, Michael R. and Solin, Arno and Vehtari, Aki',
    "2023",
    "Practical Hilbert Space Approximate Bayesian Gaussian Processes for Probabilistic Programming",
    journal="Statistics and Computing",
    volume="33",
    pages="17",
)
BACKENDS: Mapping[str, Work] = {
    "numpyro": _work(
        "phan2019",
        "article",
        "Phan, Du and Pradhan, Neeraj and Jankowiak, Martin",
        "2019",
        "Composable Effects for Flexible and Accelerated Probabilistic Programming in NumPyro",
        journal="arXiv preprint arXiv:1912.11554",
    ),
    "stan": _work(
        "carpenter2017",
        "article",
        "Carpenter, Bob and Gelman, Andrew and Hoffman, Matthew D. and Lee, Daniel and Goodrich, Ben and "
        "Betancourt, Michael and Brubaker, Marcus and Guo, Jiqiang and Li, Peter and Riddell, Allen",
        "2017",
        "Stan: A Probabilistic Programming Language",
        journal="Journal of Statistical Software",
        volume="76",
        pages="1--32",
    ),
    "pymc": _work(
        "abrilpla2023",
        "article",
        "Abril-Pla, Oriol and Andreani, Virgile and Carroll, Colin and Dong, Larry and Fonnesbeck, Christopher J. and "
        "Kochurov, Maxim and Kumar, Ravin and Lao, Junpeng and Luhmann, Christian C. and Martin, Osvaldo A. and "
        "Osthege, Michael and Vieira, Ricardo and Wiecki, Thomas and Zinkov, Robert",
        "2023",
        "PyMC: A Modern and Comprehensive Probabilistic Programming Framework in Python",
        journal="PeerJ Computer Science",
        volume="9",
        pages="e1516",
    ),
}


def is_exact(result: Result) -> bool:
    """Return whether effects were integrated out and the rest drawn by importance sampling."""
    return result.inference.startswith("exact")


def by_quadrature(result: Result) -> bool:
    """Return whether effects were integrated out by quadrature."""
    return is_exact(result) and "quadrature" in result.inference


def works(result: Result) -> list[Work]:
    """Return the works on which a result rests, each once."""
    return list({work.key: work for work in _works(result)}.values())


def _works(result: Result) -> Iterator[Work]:
    yield from (DESIGN, POTENTIAL)
    if is_exact(result):
        yield PSIS
        if by_quadrature(result):
            yield QUADRATURE
    else:
        yield NUTS
        yield from [BACKENDS[result.backend]] if result.backend in BACKENDS else []
    if any(variable.law.distribution == "lkj_cholesky" for variable in result.model.variables):
        yield LKJ
    if result.study.principals:
        yield STRATA
    if result.intervals:
        scored = any(isinstance(part, ir.Propensity) for part in result.study.analysis)
        yield SCORES if scored else QUANTILES
    written = "".join(part.model_dump_json() for part in result.study.analysis)
    for word, work in (('"mean"', MUNDLAK), ("spline", SPLINES), ('"gp"', GP)):
        if word in written and any(isinstance(a, ir.Adjust | ir.VaryWith) for a in result.study.analysis):
            yield work
    yield from (RHAT, CHECKS, ARVIZ)
