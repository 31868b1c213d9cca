"""`hdsl new --from-formula`: a study from a model formula and its data, with what a formula does not say as questions.

A formula names predictors and groups. It does not say which predictor was a treatment, who was assigned to it, within
what and how; that is asked in comments, beside the likeliest answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hdsl.data.sources import open_table
from hdsl.data.table import Table
from hdsl.design.words import column_text, is_name
from hdsl.diagnostics import Diagnostic, did_you_mean
from hdsl.report.formula import (
    Call,
    Formula,
    FormulaError,
    Infix,
    Name,
    Node,
    Number,
    Random,
    names_in,
    read_formula,
    settings_of,
    text_of,
)
from hdsl.report.guess import Guess, legal, look, shape_of
from hdsl.report.starter import Draft, head

FUNCTIONS = {"log": "log", "log1p": "log1p", "exp": "exp", "sqrt": "sqrt", "abs": "abs", "sin": "sin", "cos": "cos"}
FACTORS = ("factor", "as.factor", "C")
SMOOTHS = {"s": "spline", "bs": "spline", "ns": "spline", "cr": "spline", "t2": "spline", "gp": "gp"}
SCALED = ("scale", "center", "centre", "standardize")
ROUGHNESS = ("k", "bs", "df", "m", "degree", "fx")
HELPERS = ("trials", "weights", "se", "cens", "rate")
ROLES = {"weights": "weight", "rate": "exposure"}


def from_formula(formula: str, data: str, folder: Path | None = None) -> tuple[str | None, list[Diagnostic]]:
    """Return the text of a study that a formula over a data file stands for; None where it cannot be.

    Diagnostics: HDM121 for the formula, HDM21x for the data.
    """
    table = open_table(data, Path.cwd())
    if not isinstance(table, Table):
        return None, table
    try:
        read = read_formula(formula)
        _known(read, table)
        said = f"# From the formula: {' '.join(formula.split())}"
        lines = [said, *head(data, folder, table), *_Translation(read, table).lines()]
    except FormulaError as error:
        help_ = "What a formula can say here stands in the page of this code: hdsl explain HDM121."
        return None, [Diagnostic("HDM121", str(error), help=help_)]
    return "\n".join(lines).rstrip("\n") + "\n", list(table.notes)


def _known(read: Formula, table: Table) -> None:
    nodes: list[Node] = [read.response, *read.helpers, *read.offsets]
    nodes += [factor for term in read.terms for factor in term]
    nodes += [factor for random in read.random for term in random.terms for factor in term]
    names = [*(name for node in nodes for name in names_in(node)), *(g for r in read.random for g in r.groups)]
    grouped = {group for random in read.random for group in random.groups}
    predictors = {name for term in read.terms for factor in term for name in names_in(factor)}
    for name in [name for name in predictors if name in grouped or name == text_of(read.response)]:
        also = "the outcome" if name == text_of(read.response) else "a group"
        raise FormulaError(f"`{name}` is {also} and a predictor as well; a study takes a column for one of them.")
    for name in names:
        if name not in table.column_names:
            near = did_you_mean(name, list(table.column_names))
            known = f"did you mean {near!r}?" if near else f"its columns are {', '.join(table.column_names[:12])}."
            raise FormulaError(f"The data have no column {name!r}; {known}")


class _Translation:
    """A formula's terms as statements of a study."""

    def __init__(self, read: Formula, table: Table) -> None:
        self.read = read
        looks = {name: look(table.column(name)) for name in table.column_names}
        self.outcome = _outcome_column(read.response)
        groups = list(dict.fromkeys(group for random in read.random for group in random.groups))
        used = [name for term in read.terms for factor in term for name in names_in(factor)]
        used += [name for random in read.random for term in random.terms for f in term for name in names_in(f)]
        others = [name for name in dict.fromkeys(used) if name not in groups and name != self.outcome]
        special = [name for helper in read.helpers for name in names_in(helper)]
        special += [name for offset in read.offsets for name in names_in(offset)]
        self.guess: Guess = shape_of(
            [looks[name] for name in groups],
            [looks[name] for name in others if name not in special],
            looks[self.outcome],
            table.num_rows,
        )
        self.draft = Draft(self.guess, sure=True, outcome_kind=_kind(read), extra=self._extra())
        self.names = self._names()

    def _extra(self) -> list[str]:
        """Return the variables that stand beside the outcome: exposure and weights."""
        found: list[str] = []
        for helper in self.read.helpers:
            if helper.function not in HELPERS:
                raise FormulaError(f"`{text_of(helper)}` beside the outcome is not understood.")
            if helper.function in ROLES:
                found += [_beside(ROLES[helper.function], name) for name in names_in(helper)]
        for offset in self.read.offsets:
            match offset:
                case Call(function="log", args=(Name(text=name),)):
                    found.append(_beside("exposure", name))
                case _:
                    raise FormulaError(f"`offset({text_of(offset)})`: only the log of an exposure can be one.")
        return found

    def _names(self) -> dict[str, str]:
        """Return what each column is called in the study."""
        found = {seen.name: name for seen, _, name in self.draft.others}
        found |= {level.look.name: level.name for level in self.guess.levels if level.look is not None}
        treatment = self.guess.treatment
        return found | ({} if treatment is None else {treatment.name: self.draft.treatment})

    def lines(self) -> Iterator[str]:
        """Yield the lines of the study after its head."""
        yield from self.draft.level_lines()
        yield from self._treatment()
        yield from self._analysis()
        yield from self.draft.estimand_lines()

    def _treatment(self) -> Iterator[str]:
        treatment = self.guess.treatment
        if treatment is not None:
            yield f"# The formula does not say which predictor is the treatment. Is it {self.draft.treatment}?"
        for line in self.draft.treatment_lines():
            if line.startswith("assign ") and " within " in line:
                yield f"# A share of treated that differs between units of {line.split()[5]} is in the model as well."
            yield line

    def _analysis(self) -> Iterator[str]:
        statements = [*self._adjusted(), *self._varied(), *self._without_intercepts()]
        yield from self._told()
        if not self.read.intercept:
            yield "# The formula leaves the intercept out; a study has one, which changes what the coefficients mean."
        for level in self.guess.levels[:-1]:
            random = [r for r in self.read.random if r.groups and self.names.get(r.groups[-1]) == level.name]
            if any(r.intercept for r in random):
                yield f"# The intercept of each {level.name} is in the model by itself: every group has one."
        if statements:
            yield "analysis {"
            yield from (f"  {statement}" for statement in statements)
            yield "}"
            yield ""

    def _adjusted(self) -> Iterator[str]:
        alone: list[str] = []
        statements: list[str] = []
        for term in self.read.terms:
            treated = [factor for factor in term if self._is_treatment(factor)]
            if not treated:
                alone.append(" * ".join(self._text(factor, inner=len(term) > 1) for factor in term))
            elif len(term) == 2:
                (other,) = [factor for factor in term if factor not in treated]
                statements.append(f"vary {self.draft.treatment} with {self._text(other, inner=False)} prespecified")
            elif len(term) > 2:
                raise FormulaError(f"`{':'.join(map(text_of, term))}`: an effect can vary with one term at a time.")
        if alone:
            yield f"adjust for {', '.join(alone)}"
        yield from statements

    def _varied(self) -> Iterator[str]:
        for random in self.read.random:
            level = self.names[random.groups[-1]]
            loose = " uncorrelated" if self._loose(random) else ""
            for term in random.terms:
                if len(term) != 1:
                    raise FormulaError(f"`{':'.join(map(text_of, term))}` cannot vary across {level}.")
                yield f"vary {self._text(term[0], inner=False)} across {level}{loose}"

    def _loose(self, random: Random) -> bool:
        """Return whether effects of a group vary by themselves: written with `||`, or each in a term of its own."""
        same = [other for other in self.read.random if other.groups == random.groups]
        if len(same) == 1:
            return not random.correlated
        if any(other.correlated and len(other.terms) + other.intercept > 1 for other in same):
            level = random.groups[-1]
            raise FormulaError(f"Of the effects of {level} all are correlated in a study, or none: join its terms.")
        return True

    def _without_intercepts(self) -> Iterator[str]:
        """Yield the statements that take away the intercepts which the formula does not have."""
        for level in self.guess.levels[:-1]:
            of = [r for r in self.read.random if r.groups and self.names.get(r.groups[-1]) == level.name]
            if not any(random.intercept for random in of):
                yield f"pool {level.name} completely    # the formula gives {level.name} no intercept of its own"

    def _told(self) -> Iterator[str]:
        """Yield what the study has otherwise than the formula."""
        alone = {self._text(term[0], inner=False) for term in self.read.terms if len(term) == 1}
        alone |= {self.draft.treatment}
        moderators = [
            f for term in self.read.terms if any(map(self._is_treatment, term)) for f in term if len(term) == 2
        ]
        varied = [term[0] for random in self.read.random for term in random.terms if len(term) == 1]
        texts = {self._text(factor, inner=False) for factor in (*moderators, *varied)}
        for text in sorted(texts - alone):
            yield f"# The effect of {text} varies: its mean is in the model too, though the formula does not name it."
        nodes = [f for term in self.read.terms for f in term]
        for call in dict.fromkeys(node for node in nodes if isinstance(node, Call)):
            yield from _told_of(call)

    def _is_treatment(self, factor: Node) -> bool:
        match factor:
            case Name(text=text):
                return self.guess.treatment is not None and text == self.guess.treatment.name
            case Call(function=function, args=(Name() as inner,)) if function in FACTORS:
                return self._is_treatment(inner)
            case _:
                return False

    def _text(self, node: Node, *, inner: bool) -> str:
        """Return a factor as a term of the language."""
        match node:
            case Name(text=text):
                return self.names.get(text, legal(text))
            case Number(value=value):
                return f"{value:g}"
            case Call(function="I", args=(inside,)):
                text = self._text(inside, inner=False)
                return f"({text})" if inner and isinstance(inside, Infix) else text
            case Call(function=function, args=(inside,)) if function in FACTORS:
                return self._factor(inside)
            case Call(function=function) if function in SMOOTHS:
                return self._smooth(node)
            case Call(function=function, args=(inside, *_)) if function in SCALED:
                return f"centre({self._text(inside, inner=False)})"
            case Call(function="poly", args=(Name() as x, Number(value=power), *_)):
                text = self._text(x, inner=False)
                return ", ".join(text if k == 1 else f"{text} ^ {k}" for k in range(1, int(power) + 1))
            case Call(function=function, args=(inside,)) if function in FUNCTIONS:
                return f"{FUNCTIONS[function]}({self._text(inside, inner=False)})"
            case Infix(sign=sign, left=left, right=right) if sign in "+-*/^":
                return f"{self._text(left, inner=True)} {sign} {self._text(right, inner=True)}"
            case _:
                raise FormulaError(f"`{text_of(node)}` has no counterpart among the terms of a study.")

    def _smooth(self, call: Call) -> str:
        law = SMOOTHS[call.function]
        columns = [arg for arg in call.args if isinstance(arg, Name)]
        unknown = sorted(set(settings_of(call)) - {*ROUGHNESS})
        if unknown or not columns:
            raise FormulaError(f"`{text_of(call)}`: `{(unknown or [''])[0]}` has no counterpart.")
        if law == "spline" and len(columns) > 1:
            raise FormulaError(f"`{text_of(call)}`: a spline is of one column; of several it is `gp(...)`.")
        return f"{law}({', '.join(self._text(column, inner=False) for column in columns)})"

    def _factor(self, inside: Node) -> str:
        """Return a column taken as a category: by itself where its values are labels already."""
        text = self._text(inside, inner=False)
        labels = {seen.name for seen, _, _ in self.draft.others if seen.kind == "category"}
        return text if isinstance(inside, Name) and inside.text in labels else f"factor({text})"


def _told_of(call: Call) -> Iterator[str]:
    """Yield what a study says otherwise than a function of a formula."""
    if call.function in SMOOTHS and any(not isinstance(arg, Name) for arg in call.args):
        yield f"# The settings of {text_of(call)} are left out: how far the curve bends is estimated."
    if call.function in ("scale", "standardize"):
        yield f"# {text_of(call)} is centred, not divided by its sd: slopes are per unit, whatever is done internally."
    if call.function == "poly" and settings_of(call).get("raw") not in ("TRUE", "T"):
        yield f"# {text_of(call)} is written in powers: the same curve, other coefficients."


def _outcome_column(node: Node) -> str:
    match node:
        case Name(text=text):
            return text
        case Call(function="log" | "log1p" | "sqrt"):
            raise FormulaError(f"`{text_of(node)}` is no column: transform it in the data, or use `family lognormal`.")
        case _:
            raise FormulaError(f"`{text_of(node)}` is not understood as an outcome.")


def _kind(read: Formula) -> str | None:
    """Return the outcome's kind where the formula says it."""
    for helper in read.helpers:
        names = list(names_in(helper))
        if helper.function == "trials" and helper.args:
            return f"count of {_plain(names[0]) if names else text_of(helper.args[0])}"
        if helper.function == "cens" and names:
            return f"duration censored by {column_text(names[0])}"
        if helper.function == "se" and names:
            return f"real known sd {_plain(names[0])}"
    counted = bool(read.offsets) or any(helper.function == "rate" for helper in read.helpers)
    return "count" if counted else None


def _plain(name: str) -> str:
    if not is_name(name):
        raise FormulaError(f"The column {name!r} has to be renamed: here only a plain name can stand.")
    return name


def _beside(role: str, name: str) -> str:
    column = "" if is_name(name) else f" column {column_text(name)}"
    return f"{role} {legal(name)} : positive{column}"
