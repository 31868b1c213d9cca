"""The text of a study: what it prints, parsed again, is the same study."""

from __future__ import annotations

from collections.abc import Iterator

from hdsl.design import ir
from hdsl.design.expr import Expr, Sequence
from hdsl.design.expr_text import expr_text, index_text, sum_text
from hdsl.design.ir import StudyFields
from hdsl.design.words import column_text, number_text, string_text
from hdsl.source import Source
from hdsl.syntax.format import format_source


def to_text(study: StudyFields) -> str:
    """Return the canonical text of a study, a legal .hdm file in the layout of `hdsl fmt`.

    A name that is one of the words `and`, `or`, `not`, `at`, `of`, `over`, `per`, `where`, `unaffected` can be
    read as that word where it follows an expression or a stratum; only studies built in Python can have it there.
    """
    return format_source(Source.of("<study>", _plain(study)))


def _plain(study: StudyFields) -> str:
    lines = [
        f"study {study.name}" + _quoted(study.title),
        *([f"data {string_text(study.table)}"] if study.table is not None else []),
        *(line for level in study.levels for line in _level(level)),
        *(_treatment(treatment) for treatment in study.treatments),
        *(_assignment(assignment) for assignment in study.assignments),
        *(line for principal in study.principals for line in _principal(principal)),
        *_block("analysis", (amendment_text(amendment) for amendment in study.analysis)),
        *_block("model", (equation_text(equation) for equation in study.equations)),
        *_block("priors", (f"{expr_text(p.target)} ~ {expr_text(p.law)}" for p in study.priors)),
        *(f"estimand {e.name}{index_text(e.index)} = {expr_text(e.value)}" for e in study.estimands),
        *_block("assume", (_assumption(assumption) for assumption in study.assumptions)),
        *(f"waive {waiver.code} because {string_text(waiver.because)}" for waiver in study.waivers),
    ]
    return "\n".join(lines) + "\n"


def amendment_text(amendment: ir.Amendment) -> str:
    """Return the text of an amendment, as it stands in `analysis`."""
    match amendment:
        case ir.Family(outcome=outcome, law=law):
            return f"family {outcome} {expr_text(law) if law.args or law.options else law.function}"
        case ir.Adjust(terms=terms):
            return f"adjust for {_terms(terms)}"
        case ir.VaryAcross() | ir.VaryWith():
            return _vary(amendment)
        case ir.Interact(treatments=treatments):
            return f"interact {' * '.join(treatments)}"
        case ir.Shrink(prior=prior):
            return f"shrink interactions as {prior}"
        case ir.VarianceBy(outcome=outcome, by=by, model=model):
            return f"variance of {outcome} by {by}" + (f" as {model}" if model else "")
        case ir.VarianceWith(outcome=outcome, term=term):
            return f"variance of {outcome} with {sum_text(term)}"
        case ir.VarianceAcross(outcome=outcome, across=across):
            return f"variance of {outcome} across {across}"
        case ir.EffectVarianceWith(effect=effect, across=across, term=term):
            return f"variance of {sum_text(effect)} across {across} with {sum_text(term)}"
        case ir.Correlate(outcome=outcome, within=within, structure=structure):
            return f"correlate {outcome} within {within} as {structure}"
        case ir.Pool(group=group, how=how):
            return f"pool {group} {how}"
        case ir.Propensity():
            return _propensity(amendment)
        case ir.Surface(outcome=outcome, given=given, law=law):
            return f"surface of {outcome} given {_terms(given)} as {law}"
        case ir.Poststratify(file=file, weight=weight):
            return f"poststratify over {string_text(file)} weight {column_text(weight)}"


def equation_text(equation: ir.Equation) -> str:
    """Return the text of a law or definition, as it stands in `model`."""
    match equation:
        case ir.LawStatement(targets=targets, law=law):
            return f"{', '.join(expr_text(target) for target in targets)} ~ {expr_text(law)}"
        case ir.DefinitionStatement(target=target, value=value):
            return f"{expr_text(target)} = {expr_text(value)}"


def _quoted(text: str | None) -> str:
    return "" if text is None else f" {string_text(text)}"


def _column(column: str | None) -> str:
    return "" if column is None else f" column {column_text(column)}"


def _block(word: str, items: Iterator[str]) -> Iterator[str]:
    lines = [f"  {item}" for item in items]
    if lines:
        yield f"{word} {{"
        yield from lines
        yield "}"


def _terms(terms: tuple[Expr, ...]) -> str:
    return ", ".join(sum_text(term) for term in terms)


def _level(level: ir.Level) -> Iterator[str]:
    head = f"{level.word} {level.name}"
    if level.id is not None:
        head += f" id {column_text(level.id)}"
    head += "".join(f" in {parent}" for parent in level.parents)
    if level.crosses:
        head += f" in {' * '.join(level.crosses)}"
    if level.file is not None:
        head += f" from {string_text(level.file)}"
    if not level.variables:
        yield head
        return
    yield head + " {"
    for variable in level.variables:
        yield f"  {_variable(variable)}"
    yield "}"


def _variable(variable: ir.Variable) -> str:
    text = f"{variable.role} {variable.name} : {kind_text(variable.kind)}"
    if variable.missing:
        text += " missing"
    return text + _quoted(variable.measured_in) + _column(variable.column)


def kind_text(kind: ir.Kind) -> str:
    """Return the text of a kind, as in `count of trials`."""
    if kind.trials is not None:
        return f"{kind.name} of {sum_text(kind.trials)}"
    if kind.censored_by is not None:
        return f"{kind.name} censored by {column_text(kind.censored_by)}"
    if kind.known_sd is not None:
        return f"{kind.name} known sd {sum_text(kind.known_sd)}"
    return kind.name


def _treatment(treatment: ir.Treatment) -> str:
    head = f"treatment {treatment.name}{_column(treatment.column)}"
    if treatment.dose is not None:
        return f"{head} : {treatment.dose}{_quoted(treatment.measured_in)}"
    arms = ", ".join(f"{arm.name} = {_code(arm.code)}" for arm in treatment.arms)
    return f"{head} {{ {arms} }}" + (" ordered" if treatment.ordered else "")


def _code(code: float | str) -> str:
    return string_text(code) if isinstance(code, str) else number_text(code)


def _assignment(assignment: ir.Assignment) -> str:
    text = f"assign {assignment.treatment} to {assignment.to}"
    if assignment.within:
        text += f" within {', '.join(assignment.within)}"
    if assignment.condition is not None:
        text += f" if {assignment.condition.treatment} = {assignment.condition.arm}"
    return f"{text} by {mechanism_text(assignment.mechanism)}"


def mechanism_text(mechanism: ir.Mechanism) -> str:
    """Return the text of an assignment mechanism, as in `complete(0.5)`."""
    arguments = [sum_text(term) for term in mechanism.given]
    match mechanism.probability:
        case None:
            pass
        case Sequence(items=items):
            arguments += [sum_text(item) for item in items]
        case single:
            arguments.append(sum_text(single))
    if mechanism.cutoff is not None:
        arguments.append(number_text(mechanism.cutoff))
    return f"{mechanism.name}({', '.join(arguments)})" if arguments else mechanism.name


def _principal(principal: ir.Principal) -> Iterator[str]:
    yield f"principal {principal.name} from {principal.intermediate} under {principal.treatment} {{"
    for stratum in principal.strata:
        values = ", ".join(_code(value) for value in stratum.values)
        yield f"  {stratum.name} = ({values})" + (" unaffected" if stratum.unaffected else "")
    yield "}"


def _vary(amendment: ir.VaryAcross | ir.VaryWith) -> str:
    head = f"vary {sum_text(amendment.effect)}"
    match amendment:
        case ir.VaryAcross(across=across, uncorrelated=uncorrelated, law=law):
            text = f"{head} across {' * '.join(across)}" + (" uncorrelated" if uncorrelated else "")
            return text + (f" as {law}" if law != "normal" else "")
        case ir.VaryWith(term=term, shape=shape, status=status):
            text = f"{head} with {sum_text(term)}" + (f" as {shape}" if shape != "linear" else "")
            return text + (f" {status}" if status else "")


def _propensity(propensity: ir.Propensity) -> str:
    text = f"propensity for {propensity.treatment}"
    if propensity.terms:
        text += f" with {_terms(propensity.terms)}"
    if propensity.across is not None:
        text += f" across {propensity.across}"
    strata = f"({propensity.strata})" if propensity.strata is not None else ""
    return f"{text} as {propensity.use}{strata}"


def _assumption(assumption: ir.AssumedSize | ir.AssumedValue) -> str:
    amount = number_text(assumption.low)
    if assumption.high is not None:
        amount += f"..{number_text(assumption.high)}"
    match assumption:
        case ir.AssumedSize(level=level, per=per):
            return f"{level}: {amount}" + (f" per {per}" if per is not None else "")
        case ir.AssumedValue(target=target):
            return f"{expr_text(target)} = {amount}"
