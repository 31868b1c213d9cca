"""Families, residual spreads, and statements that can stand once."""

from __future__ import annotations

from hdsl.checks.elsewhere import suggested_law
from hdsl.checks.finding import Findings, Path, Rule, finding, listed, suggestion
from hdsl.checks.scope import Scope
from hdsl.checks.terms import LABELLED
from hdsl.design import ir
from hdsl.design.expr import Call, Number, Ref
from hdsl.model.derive.quantiles import CORRECTED, INTERVALS, WORKING, keeps_working
from hdsl.model.derive.scales import FAMILIES

AS_THEY_ARE = "Leave out `intervals = working`: they are then corrected."


def family(scope: Scope) -> Findings:
    """HDM258, HDM259, HDM242, HDM425: a family exists, fits its outcome's kind, and has a link that it can have."""
    for i, item in enumerate(scope.study.analysis):
        if isinstance(item, ir.Family):
            yield from _family(scope, item, ("analysis", i, "law"))


def _family(scope: Scope, item: ir.Family, path: Path) -> Findings:
    name, outcome = item.law.function, scope.outcomes.get(item.outcome)
    if name not in FAMILIES:
        yield finding("HDM258", f"There is no family `{name}`.", path, suggested_law(name, FAMILIES))
        return
    kind = None if outcome is None else "count of" if outcome.kind.trials is not None else outcome.kind.name
    if kind is not None and kind not in FAMILIES[name].kinds:
        fits = [known for known, family in FAMILIES.items() if kind in family.kinds]
        message = f"The family `{name}` does not fit `{item.outcome}`, which is {kind}."
        yield finding("HDM259", message, path, f"For {kind}: {listed(fits)}.")
    if name == "quantile":
        if keeps_working(item.law):
            message = f"The intervals of the quantiles of {item.outcome} are those of a working likelihood."
            yield finding("HDM425", message, path, AS_THEY_ARE)
        yield from _probabilities(item.law, path)
    else:
        yield from _options(item.law, FAMILIES[name].links, path)


def _probabilities(law: Call, path: Path) -> Findings:
    mend = "Write them in order, for instance `quantile(0.1, 0.5, 0.9)`."
    for i, option in enumerate(law.options):
        if option.name != INTERVALS:
            yield finding("HDM258", f"`quantile` has no option `{option.name}`.", (*path, "options", i), mend)
        elif option.value not in (Ref(name=CORRECTED), Ref(name=WORKING)):
            message = "The intervals of quantiles are `corrected` or `working`."
            yield finding("HDM258", message, (*path, "options", i), "Leave it out: they are corrected.")
    if not law.args:
        yield finding("HDM258", "`quantile` takes the probabilities of the quantiles.", path, mend)
    before = 0.0
    for i, arg in enumerate(law.args):
        place = (*path, "args", i)
        if not isinstance(arg, Number) or not 0 < arg.value < 1:
            yield finding("HDM258", "A probability is a number above 0 and below 1.", place, mend)
        elif arg.value <= before:
            yield finding("HDM258", f"{arg.value:g} does not come after {before:g}.", place, mend)
        else:
            before = arg.value


def _options(law: Call, links: tuple[str, ...], path: Path) -> Findings:
    for i, option in enumerate(law.options):
        place = (*path, "options", i)
        if option.name != "link":
            message = f"`{law.function}` has no option `{option.name}`."
            yield finding("HDM258", message, place, f"It takes `link = ...`: {listed(links)}.")
        elif not isinstance(option.value, Ref) or option.value.name not in links:
            said = option.value.name if isinstance(option.value, Ref) else "that"
            yield finding("HDM258", f"`{law.function}` has no link `{said}`.", place, f"Links: {listed(links)}.")
    if law.args:
        message = f"`{law.function}` takes no numbers; its parameters are estimated."
        yield finding("HDM258", message, path, "Give them a law in `priors` instead.")


def variance_by(scope: Scope) -> Findings:
    """HDM227, HDM239: the residual spread differs by arms or categories."""
    for i, item in enumerate(scope.study.analysis):
        if not isinstance(item, ir.VarianceBy):
            continue
        name, path = item.by, ("analysis", i, "by")
        variable = scope.variables.get(name)
        if variable is not None and variable.kind.name in (*LABELLED, "binary"):
            continue
        if scope.arms(name):
            continue
        if scope.described(name) is None:
            near = suggestion(name, (*scope.treatments, *scope.variables))
            yield finding("HDM227", f"`{name}` is not declared.", path, near)
            continue
        word = "across" if name in scope.levels else "with"
        message = f"`{name}` has no arms or categories by which the spread could differ."
        yield finding("HDM239", message, path, f"Write `variance of {item.outcome} {word} {name}`.")


def repeated(scope: Scope) -> Findings:
    """HDM260: two statements say the same thing of the same outcome, group, effect or treatment."""
    seen: set[tuple[str, ...]] = set()
    for i, item in enumerate(scope.study.analysis):
        key = _subject(item)
        if key is None:
            continue
        if key in seen:
            message = f"`{' '.join(key)}` is said twice."
            yield finding("HDM260", message, ("analysis", i), "Keep one of the two.")
        seen.add(key)


def _subject(item: ir.Amendment) -> tuple[str, ...] | None:
    from hdsl.design.roles import role_text

    match item:
        case ir.Family(outcome=outcome):
            return "family", outcome
        case ir.Pool(group=group):
            return "pool", group
        case ir.VaryAcross(effect=effect, across=across):
            return "vary", role_text(effect), "across", " * ".join(across)
        case ir.VaryWith(effect=effect, term=term):
            return "vary", role_text(effect), "with", role_text(term)
        case ir.VarianceBy(outcome=outcome):
            return "variance of", outcome, "by"
        case ir.VarianceAcross(outcome=outcome, across=group):
            return "variance of", outcome, "across", group
        case ir.EffectVarianceWith(effect=effect, across=group, term=term):
            return "variance of", role_text(effect), "across", group, "with", role_text(term)
        case ir.VarianceWith(outcome=outcome, term=term):
            return "variance of", outcome, "with", role_text(term)
        case ir.Correlate(outcome=outcome):
            return "correlate", outcome
        case ir.Shrink():
            return ("shrink interactions",)
        case ir.Propensity(treatment=treatment):
            return "propensity for", treatment
        case ir.Poststratify(file=file):
            return "poststratify over", file
        case ir.Surface(outcome=outcome):
            return "surface of", outcome
        case ir.Interact(treatments=treatments):
            return "interact", " * ".join(sorted(treatments))
        case _:
            return None


def pooled_and_varied(scope: Scope) -> Findings:
    """HDM422: a group's intercept cannot vary and be pooled completely, or not at all, at once."""
    pools = {item.group: item.how for item in scope.study.analysis if isinstance(item, ir.Pool)}
    for i, item in enumerate(scope.study.analysis):
        if not isinstance(item, ir.VaryAcross) or item.effect != Ref(name="intercept"):
            continue
        for group in item.across:
            how = pools.get(group, "partially")
            if how != "partially":
                message = f"`vary intercept across {group}` and `pool {group} {how}` contradict each other."
                yield finding("HDM422", message, ("analysis", i), "Keep one of the two.")


RULES: tuple[Rule, ...] = (family, variance_by, repeated, pooled_and_varied)
