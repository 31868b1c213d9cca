"""Random models in explicit equations whose effects can be integrated out, with small and awkward tables."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import assume
from hypothesis import strategies as st

from tests.passes import shapes
from tests.passes.drawn import CODES, LEVELS, Drawn, tables

GROUPINGS = ("none", "one", "two", "three", "crossed")
ABOVE = {"school": "district", "district": "region"}
SPREADS = ("sigma", "sigma", "sigma * s", "sqrt(sigma * sigma + s * s)", "s", "sigma * exp(more * z)")
COEFFICIENTS = ("normal", "shrunk", "student", "product", "none")
EFFECTS = ("plain", "scaled", "mean", "joint", "none")


@dataclass
class Equations:
    """Summands of the outcome's mean, and the laws of what stands in them; `unit` is the scale of the outcome."""

    unit: float
    size: float
    mean: list[str] = field(default_factory=list)
    laws: list[str] = field(default_factory=list)

    def add(self, summand: str, *laws: str) -> None:
        """Add a summand; U in laws is the outcome's scale, V the slope's."""
        self.mean.append(summand)
        self.law(*laws)

    def law(self, *laws: str) -> None:
        """Add laws, their scales filled in."""
        units = {"U": f"{self.unit:.12g}", "V": f"{self.unit / self.size:.12g}"}
        self.laws += ["".join(units.get(each, each) for each in law) for law in laws]


@st.composite
def equations(draw: st.DrawFn) -> Drawn:
    """Draw groupings, in which form their effects are written, coefficients, the residual spread and a table."""
    levels = draw(st.sampled_from(GROUPINGS))
    groups = LEVELS[levels]
    positive = draw(st.integers(0, 2)) == 0
    scale = st.just(1.0) if positive else st.sampled_from([1.0, 1.0, 1e-3, 1e3])
    made = Equations(draw(scale), draw(st.sampled_from([1.0, 1.0, 1e-3, 1e3])))
    made.add("alpha", draw(st.sampled_from(["alpha ~ normal(0, U)", "alpha ~ student(5, 0, U)"])))
    _coefficient(made, "x", draw(st.sampled_from(COEFFICIENTS)))
    if draw(st.booleans()):
        made.add("tau * z", "tau ~ normal(0, U)")
    for group in groups:
        _effects(made, group, draw(st.sampled_from(EFFECTS)), groups)
    assume(any(f" ~ {law}(" in each for each in made.laws for law in ("normal", "multinormal")))
    spread = draw(st.sampled_from(SPREADS))
    if "sigma" in spread:
        made.law(draw(st.sampled_from(["sigma ~ halfnormal(U)", "sigma ~ lognormal(0, 0.5)"])))
    if spread == "sigma * s" and not positive:
        spread = f"sigma * s / {made.unit:.12g}"
    if "more" in spread:
        made.law("more ~ normal(0, 0.5)")
    family = "lognormal" if positive else "normal"
    laws = "\n  ".join([f"y[{_unit(levels)}] ~ {family}({' + '.join(made.mean)}, {spread})", *made.laws])
    text = f"{shapes.HEAD}{_design(levels, groups, positive)}model {{\n  {laws}\n}}\n"
    columns = draw(tables(clustered=False, within=True, positive=positive, scaled=False))
    columns |= {"x": columns["x"] * made.size, "s": columns["s"] * made.unit, "y": columns["y"] * made.unit}
    return Drawn(text, columns)


def _coefficient(made: Equations, name: str, form: str) -> None:
    """Add a slope: with a normal law, one whose spread is unknown, another law, or as a product of two normal ones."""
    if form == "normal":
        made.add(f"beta * {name}", "beta ~ normal(0, V)")
    elif form == "shrunk":
        made.add(f"beta * {name}", "beta ~ normal(0, shrink)", "shrink ~ halfnormal(V)")
        made.add("tilt * w", "tilt ~ normal(0, U)")
    elif form == "student":
        made.add(f"beta * {name}", "beta ~ student(5, 0, V)")
    elif form == "product":
        made.add(f"first * second * {name}", "first ~ normal(0, 1)", "second ~ normal(0, V)")


def _effects(made: Equations, group: str, form: str, groups: tuple[str, ...]) -> None:
    """Add what varies across a grouping: around zero, in standard units, around a mean, or with a slope."""
    a, b, sa, sb = f"a_{group}[{group}]", f"b_{group}[{group}]", f"sa_{group}", f"sb_{group}"
    outer = ABOVE.get(group, "")
    above = f"a_{outer}[{outer}]"
    if form == "plain":
        made.add(a, f"{a} ~ normal(0, {sa})", f"{sa} ~ halfnormal(U)")
    elif form == "scaled":
        made.add(f"{sa} * {a}", f"{a} ~ normal(0, 1)", f"{sa} ~ halfnormal(U)")
    elif form == "mean" and outer in groups and not any(law.startswith((above, "mu ~")) for law in made.laws):
        made.add(a, f"{a} ~ normal({above}, {sa})", f"{sa} ~ halfnormal(U)")
        made.law(f"{above} ~ normal(mu, so)", "so ~ halfnormal(U)", "mu ~ normal(0, U)")
    elif form == "mean":
        made.add(a, f"{a} ~ normal(m_{group}, {sa})", f"m_{group} ~ normal(0, U)", f"{sa} ~ halfnormal(U)")
    elif form == "joint":
        joint = f"{a}, {b} ~ multinormal((0, d_{group}), sd = ({sa}, {sb}), corr = rho_{group})"
        more = f"d_{group} ~ normal(0, V)", f"{sa} ~ halfnormal(U)", f"{sb} ~ halfnormal(V)", f"rho_{group} ~ lkj(2)"
        made.add(f"{a} + {b} * x", joint, *more)


def _unit(levels: str) -> str:
    return "visit" if levels == "crossed" else "pupil"


def _design(levels: str, groups: tuple[str, ...], positive: bool) -> str:
    kind = "positive" if positive else "real"
    variables = f"{{ covariate x : real covariate w : real covariate s : real outcome y : {kind} }}\n"
    arms = "treatment z { off = 0, on = 1 }\n"
    if levels == "crossed":
        return f"""unit person id {CODES["person"]} wave month id month
unit visit in person * month {variables}{arms}assign z to visit within person by ignorable(x)\n"""
    chain = "".join(
        f"group {group} id {group}{f' in {groups[at - 1]}' if at else ''}\n" for at, group in enumerate(groups)
    )
    inside = f" in {groups[-1]}" if groups else ""
    to = "pupil within school by bernoulli(0.5)" if groups else "pupil by complete(0.5)"
    return f"{chain}unit pupil{inside} {variables}{arms}assign z to {to}\n"
