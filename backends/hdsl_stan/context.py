"""What lowering knows while it writes a program: sizes, stored variables, the block being written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hdsl.model.ir import Apply, Const, Dims, Expr, IndexSet, Model, Var
from hdsl.model.walk import applications, expressions
from hdsl_stan.names import fresh
from hdsl_stan.syntax import Expression, Name, Statement
from hdsl_stan.values import Stored

POSITIONS = "positions"


@dataclass
class Context:
    """The state of one lowering; `body` is the list of statements now being written.

    `fixed` holds the names that are data, or follow from data alone. `shifted` are the integer slots that
    Stan gets counted from 1. `precomputed` maps data-only expressions to variables of transformed data,
    `designs` the columns of design matrices to theirs.
    """

    model: Model
    names: Mapping[str, str]
    sizes: Mapping[str, Expression]
    dims: Mapping[str, Dims]
    shifted: frozenset[str]
    taken: set[str]
    fixed: set[str]
    stored: dict[str, Stored] = field(default_factory=dict)
    transformed_data: list[Statement] = field(default_factory=list)
    precomputed: dict[Expr, Stored] = field(default_factory=dict)
    designs: dict[Expr, str] = field(default_factory=dict)
    precomputing: Expr | None = None
    body: list[Statement] = field(default_factory=list)
    functions: set[str] = field(default_factory=set)

    def fresh(self, wanted: str) -> str:
        """Return a new name and mark it as taken."""
        name = fresh(wanted, self.taken)
        self.taken.add(name)
        return name

    def release(self, before: set[str]) -> None:
        """Free the names taken since `before`, other than those of transformed data."""
        kept = {each.name for each in self.precomputed.values()} | set(self.designs.values())
        self.taken = before | kept


def start(model: Model, names: Mapping[str, str]) -> Context:
    """Return the context at the start of a lowering."""
    taken = {*names.values(), POSITIONS}
    sizes: dict[str, Expression] = {}
    for index_set in model.index_sets:
        same = _same_set(model, index_set)
        size = fresh(f"n_{index_set.name}", taken)
        taken.add(size)
        sizes[index_set.name] = sizes.get(same, Name(size))
    fixed = {slot.name for slot in model.slots}
    return Context(
        model=model,
        names=names,
        sizes=sizes,
        dims=model.dims_of(),
        shifted=shifted_slots(model),
        taken=taken,
        fixed=fixed,
    )


def _same_set(model: Model, index_set: IndexSet) -> str:
    """Return the name of the index set of which this one is a second copy, as columns of a matrix by its rows."""
    first = index_set.name.removesuffix("_2")
    twin = index_set.model_copy(update={"name": first})
    return first if index_set.kind == "effects" and twin in model.index_sets else index_set.name


def shifted_slots(model: Model) -> frozenset[str]:
    """Return the integer slots that count from 0 in hdsl and from 1 in Stan: indices and categories."""
    found = {slot.name for slot in model.slots if slot.indexes is not None and slot.dtype == "int"}
    for expr in expressions(model):
        for node in applications(expr):
            if node.function == "gather":
                found |= _index_names(node.args[1])
    categorical = ("ordinal_logit", "ordinal_probit", "categorical_logit")
    found |= {each.slot for each in model.observations if each.law.distribution in categorical}
    return frozenset(found)


def _index_names(index: Expr) -> set[str]:
    if isinstance(index, Var):
        return {index.name}
    if isinstance(index, Apply) and index.function == "gather":
        return _index_names(index.args[0]) | _index_names(index.args[1])
    return set()


def label(expr: Expr) -> str:
    """Return a short name for what an expression computes."""
    if isinstance(expr, Const):
        return f"{expr.value:g}".replace(".", "_").replace("-", "minus_")
    if isinstance(expr, Var):
        return expr.name
    parts = [label(arg) for arg in sorted(expr.args[:2], key=lambda arg: isinstance(arg, Const))]
    if expr.function in ("equal", "less"):
        return f"{parts[0]}_{'is' if expr.function == 'equal' else 'below'}_{parts[1]}"[:40].rstrip("_")
    if expr.function == "gather":
        return parts[0]
    words = {"mul": "by", "add": "plus", "sub": "minus", "div": "per"}
    if expr.function in words:
        return f"{parts[0]}_{words[expr.function]}_{parts[1]}"[:40].rstrip("_")
    return f"{expr.function}_{parts[0]}"[:40].rstrip("_")
