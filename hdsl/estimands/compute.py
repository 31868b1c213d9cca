"""Estimands from draws, in chunks, so that memory does not grow with rows times draws."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from hdsl.checks.identified import separable
from hdsl.data.bound import Bound
from hdsl.design import expr as study
from hdsl.design.expr import Aggregate, Potential, walk
from hdsl.design.ir import Estimand
from hdsl.estimands.aggregate import Units, aggregate, units_of
from hdsl.estimands.alike import kinds_of_rows
from hdsl.estimands.contracted import Contraction, contracted
from hdsl.estimands.poststratify import Cells, cells_of, check_settings, copies, with_outcomes
from hdsl.estimands.rows import EstimandError, arithmetic, compare_labels
from hdsl.estimands.strata import Kinds, counted, tested_stratum, within_strata
from hdsl.estimands.worlds import World, chance_of_labels, coupled, expected, kinds_of, new_groups, simulated, world
from hdsl.model.ir import Model, ModelData
from hdsl.reference.values import Array
from hdsl.storage import Pages, room

CELLS = 4_000_000
CONTRACT_FROM = 2_000
REPLICATES = 16
IDENTITY_MEAN = ("normal", "student")


@dataclass(frozen=True)
class Computed:
    """Draws of an estimand.

    Attributes
    ----------
    draws : float array, shape (chain, draw, *sizes of the index levels)
    index : mapping
        Level to the labels of its units, for an indexed estimand.
    """

    name: str
    draws: Array
    index: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class _Atom:
    """One aggregate of an estimand with its index, units and worlds.

    `node` is the aggregate as it is computed, `stated` as it stands in the study; `cells` are those of the population
    over which it runs.
    """

    node: Aggregate
    units: Units
    worlds: Mapping[Potential, World]
    stated: Aggregate
    cells: Cells | None = None

    @cached_property
    def contraction(self) -> Contraction | None:
        """The aggregate as a linear form of effects, where there are many rows and it is one."""
        if self.cells is not None or self.units.rows < CONTRACT_FROM or self.node.aggregate != "average":
            return None
        return contracted(self.node.of, self.worlds, self.units)


def compute(
    estimands: Sequence[Estimand], model: Model, data: ModelData, bound: Bound, draws: Mapping[str, Array], seed: int
) -> list[Computed]:
    """Compute estimands from posterior draws of the plain model.

    Parameters
    ----------
    estimands : sequence of Estimand
    model, data
        The plain (derived) model and its arrays.
    bound : Bound
        The study with its data.
    draws : mapping
        Random variable to draws of shape (chain, draw, *dims).
    seed : int
        For quantities that need simulated outcomes or new groups.

    Raises
    ------
    EstimandError
        For what cannot be computed (HDM502, HDM52x).
    """
    chains, number = next(iter(draws.values())).shape[:2]
    flat = {name: value.reshape(chains * number, *value.shape[2:]) for name, value in draws.items()}
    cache: dict[Potential, World] = {}
    populations: dict[str, Cells] = {}
    atoms = [_atoms(estimand, model, data, bound, cache, populations) for estimand in estimands]
    found = [_empty(estimand, group, chains * number) for estimand, group in zip(estimands, atoms, strict=True)]
    pages = Pages(*flat.values(), *(each.draws for each in found))
    rows = [max(_rows_at_once(atom), _simulated_rows(atom)) for group in atoms for atom in group]
    step = max(1, CELLS // max([1, *rows]))
    for start in range(0, chains * number, step):
        chunk = {name: value[start : start + step] for name, value in flat.items()}
        memory = _Memory(bound, chunk, seed + start, model, data)
        for estimand, group, each in zip(estimands, atoms, found, strict=True):
            parts = {atom.stated: _chunk(atom, memory.over(atom.cells)) for atom in group}
            each.draws[start : start + step] = _combined(estimand, parts).reshape(-1, *each.draws.shape[1:])
        pages.after(step / (chains * number))
    return [replace(each, draws=each.draws.reshape(chains, number, *each.draws.shape[1:])) for each in found]


def _empty(estimand: Estimand, atoms: Sequence[_Atom], total: int) -> Computed:
    """Return room for the draws of an estimand, (draws, *sizes of the index)."""
    index = {level: atoms[0].units.bound.levels[level].labels for level in estimand.index}
    return Computed(estimand.name, room((total, *(len(labels) for labels in index.values()))), index)


def _rows_at_once(atom: _Atom) -> int:
    """Return how many values an aggregate takes for each draw."""
    return atom.units.rows if atom.contraction is None else atom.contraction.width


def _simulated_rows(atom: _Atom) -> int:
    """Return how many rows an aggregate over cells takes for each draw."""
    return 0 if atom.cells is None else atom.cells.bound.rows * copies(atom.cells.bound.rows)


def _atoms(
    estimand: Estimand,
    model: Model,
    data: ModelData,
    bound: Bound,
    cache: dict[Potential, World],
    populations: dict[str, Cells],
) -> list[_Atom]:
    found: list[_Atom] = []
    for stated in dict.fromkeys(n for n in walk(estimand.value) if isinstance(n, Aggregate)):
        if stated.cells:
            if stated.over not in populations:
                populations[stated.over] = cells_of(model, data, bound, stated.over)
            found.append(_over_cells(stated, estimand, bound, populations[stated.over]))
            continue
        potentials = [n for n in walk(stated.of) if isinstance(n, Potential)]
        for potential in potentials:
            if potential not in cache:
                cache[potential] = world(model, data, bound, potential.outcome, potential.settings)
        units = units_of(bound, stated, estimand.index)
        found.append(_over_alike(_Atom(stated, units, {p: cache[p] for p in potentials}, stated)))
    if not found:
        raise EstimandError("HDM520", f"The estimand `{estimand.name}` has no aggregate such as `average over ...`.")
    if estimand.index and len({_index_of(atom, estimand.index) for atom in found}) > 1:
        raise EstimandError("HDM520", "The data and the cells do not have the same units of the index.", "")
    return found


def _over_alike(atom: _Atom) -> _Atom:
    """Return an average over kinds of rows where that is exact, and many rows are alike."""
    node = atom.node
    only = not any(isinstance(each, study.Ref) for each in _beside_potentials(node.of))
    if node.aggregate != "average" or not is_linear(node.of) or not only:
        return atom
    found = kinds_of_rows(atom.worlds, atom.units)
    return atom if found is None else replace(atom, worlds=found[0], units=found[1])


def _beside_potentials(expr: study.Expr) -> Iterator[study.Expr]:
    """Yield the parts of an expression that are not within a potential outcome."""
    match expr:
        case Potential():
            return
        case study.Negative(of=inner):
            yield from _beside_potentials(inner)
        case study.Operation(left=left, right=right):
            yield from _beside_potentials(left)
            yield from _beside_potentials(right)
        case _:
            yield from walk(expr)


def _over_cells(stated: Aggregate, estimand: Estimand, bound: Bound, cells: Cells) -> _Atom:
    outcomes = frozenset(name for name, variable in bound.variables.items() if variable.role == "outcome")
    node = with_outcomes(stated, outcomes)
    check_settings(cells, node)
    here = cells.bound
    potentials = [n for n in walk(node.of) if isinstance(n, Potential)]
    worlds = {p: world(cells.model, cells.data, here, p.outcome, p.settings) for p in potentials}
    units = units_of(here, node.model_copy(update={"over": here.row}), estimand.index)
    return _Atom(node, replace(units, weights=cells.weights), worlds, stated, cells)


def _index_of(atom: _Atom, index: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Return the labels of the index's units."""
    return tuple(atom.units.bound.levels[level].labels for level in index)


class _Memory:
    """Expected potential outcomes of one chunk of draws, computed once for all estimands.

    `kinds` are the principal strata of the rows in the data, drawn given the data; None without strata.
    """

    def __init__(
        self,
        bound: Bound,
        draws: Mapping[str, Array],
        seed: int,
        model: Model,
        data: ModelData,
        *,
        new: bool = False,
    ) -> None:
        self.rows = bound.rows
        self.counts = counted(bound)
        self.draws = draws
        self.seed = seed
        self.found: dict[int, Array] = {}
        self.model, self.data = model, data
        self.populations: dict[int, _Memory] = {}
        self.kinds = kinds_of(model, data, draws, np.random.default_rng(seed), self.counts, new=new)

    def over(self, cells: Cells | None) -> _Memory:
        """Return the memory of population cells, whose new groups are the same for all estimands; this one for None."""
        if cells is None:
            return self
        if id(cells) not in self.populations:
            draws = cells.draws(self.draws, self.seed)
            made = _Memory(cells.bound, draws, self.seed, cells.model, cells.data, new=True)
            self.populations[id(cells)] = made
        return self.populations[id(cells)]

    def new_kinds(self, draws: Mapping[str, Array], seed: int) -> Kinds | None:
        """Return the principal strata of new rows with the covariates of those in the data."""
        return kinds_of(self.model, self.data, draws, np.random.default_rng(seed), self.counts, new=True)

    def expected(self, place: World, rows: int) -> Array:
        """Return the expected potential outcome of the units in the data, shape (draws, rows)."""
        if id(place) not in self.found:
            self.found[id(place)] = expected(place, self.draws, rows, self.kinds)
        return self.found[id(place)]


def is_linear(expr: study.Expr) -> bool:
    """Return whether an expression is linear in its potential outcomes, so that expectations suffice."""
    match expr:
        case Potential():
            return True
        case study.Negative(of=inner):
            return is_linear(inner)
        case study.Operation(operator="+" | "-", left=left, right=right):
            return is_linear(left) and is_linear(right)
        case study.Operation(operator="*", left=left, right=right):
            return (is_linear(left) and not _potentials(right)) or (is_linear(right) and not _potentials(left))
        case study.Operation(operator="/", left=left, right=right):
            return is_linear(left) and not _potentials(right)
        case _:
            return not _potentials(expr)


def _potentials(expr: study.Expr) -> list[Potential]:
    """Return the distinct potential outcomes in an expression."""
    found: list[Potential] = []
    for node in walk(expr):
        if isinstance(node, Potential) and node not in found:
            found.append(node)
    return found


def _chunk(atom: _Atom, memory: _Memory) -> Array:
    node = atom.node
    if atom.units.bound.frequency is not None:
        if _share_of_labels(atom):
            return _expected_share(atom, memory)
        _check_summed(atom)
    if memory.kinds is None and _share_of_labels(atom) and _rows_apart(atom):
        return _expected_share(atom, memory)
    if node.aggregate == "average" and is_linear(node.of):
        return _average(atom, memory)
    marginal = node.aggregate == "average" and separable(node.of)
    if len(_potentials(node.of)) > 1 and node.correlation is None and not marginal:
        raise EstimandError(
            "HDM502",
            f"The {node.aggregate} of a difference of potential outcomes needs their joint distribution.",
            "State it with `assuming correlation = r`, or take the difference of two aggregates.",
        )
    return _simulated(atom, memory)


def _share_of_labels(atom: _Atom) -> bool:
    """Return whether an aggregate is the share of units whose categorical outcome is one of some values."""
    node, bound = atom.node, atom.units.bound
    if node.aggregate != "share" or node.population or bound.measures or not isinstance(node.of, study.Comparison):
        return False
    tested = node.of.left
    return isinstance(tested, Potential) and len(atom.worlds) == 1 and bool(bound.variables[tested.outcome].labels)


def _rows_apart(atom: _Atom) -> bool:
    """Return whether each row's outcome has a law of its own, given the parameters."""
    return not any(place.joint or place.observation.sequence is not None for place in atom.worlds.values())


def _expected_share(atom: _Atom, memory: _Memory) -> Array:
    """Return a share as the average of probabilities: an outcome simulated for a cell would be one of all its rows."""
    ((potential, place),) = atom.worlds.items()
    assert isinstance(atom.node.of, study.Comparison)
    labels = atom.units.bound.variables[potential.outcome].labels
    chosen = np.asarray(compare_labels(atom.node.of, np.arange(len(labels)), labels), dtype=np.float64)
    return aggregate(chance_of_labels(place, memory.draws, memory.rows, chosen), atom.units, atom.node)


def _check_summed(atom: _Atom) -> None:
    """Refuse what is not determined by the means and products of rows that were summed up."""
    bound, node = atom.units.bound, atom.node
    outcomes = {potential.outcome for potential in atom.worlds}
    within = [name for name in bound.measures if name not in outcomes]
    straight = all(place.observation.law.distribution in IDENTITY_MEAN for place in atom.worlds.values())
    if node.aggregate == "average" and is_linear(node.of) and (straight or not within):
        return
    what = f"The {node.aggregate}" if node.aggregate != "average" else "This average"
    because = f" of {', '.join(within)}" if within else ""
    message = f"{what} needs each row, but rows were summed up: only means and products{because} are known."
    help_ = "Averages of linear quantities of a normal outcome can be had; for others read the rows into memory."
    raise EstimandError("HDM520", message, help_)


def _average(atom: _Atom, memory: _Memory) -> Array:
    if memory.kinds is None and atom.contraction is not None:
        first = next(iter(atom.worlds.values()))
        fresh = new_groups(first.model, first.data, memory.draws, None) if atom.node.population else memory.draws
        return atom.contraction.of(fresh)
    if not atom.node.population:
        found = {potential: memory.expected(place, atom.units.rows) for potential, place in atom.worlds.items()}
        return _aggregated(atom, found, memory.kinds)
    if memory.kinds is None and all(_means_suffice(place) for place in atom.worlds.values()):
        return _aggregated(atom, *_in_new_groups(atom, memory, None))
    rng = np.random.default_rng(memory.seed)
    total: Array | float = 0.0
    for _ in range(REPLICATES):
        total = total + _aggregated(atom, *_in_new_groups(atom, memory, rng))
    return np.asarray(total / REPLICATES)


def _means_suffice(place: World) -> bool:
    """Return whether the expected outcome at the groups' mean effects is that of new groups."""
    return place.observation.law.distribution in IDENTITY_MEAN and place.observation.sequence is None


def _in_new_groups(
    atom: _Atom, memory: _Memory, rng: np.random.Generator | None
) -> tuple[dict[Potential, Array], Kinds | None]:
    """Return expected outcomes in new groups, and the strata of their rows; the same new groups in every world."""
    seed = None if rng is None else int(rng.integers(2**62))
    found: dict[Potential, Array] = {}
    kinds: Kinds | None = None
    for potential, place in atom.worlds.items():
        shared = None if seed is None else np.random.default_rng(seed)
        draws = new_groups(place.model, place.data, memory.draws, shared)
        kinds = None if seed is None else memory.new_kinds(draws, seed)
        found[potential] = expected(place, draws, atom.units.rows, kinds)
    return found, kinds


def _simulated(atom: _Atom, memory: _Memory) -> Array:
    """Return an aggregate over simulated outcomes, averaged over replicates where there are few rows."""
    node = atom.node
    if atom.cells is not None:
        return _simulated_in_cells(atom, memory)
    replicates = int(np.clip(5000 // max(memory.rows, 1), 1, REPLICATES))
    rng = np.random.default_rng(memory.seed)
    total: Array | float = 0.0
    for _ in range(replicates):
        seed = int(rng.integers(2**62))
        found: dict[Potential, Array] = {}
        kinds = memory.kinds
        for number, (potential, place) in enumerate(atom.worlds.items()):
            draws = memory.draws
            if node.population:
                draws = new_groups(place.model, place.data, draws, np.random.default_rng(seed + 1))
                kinds = memory.new_kinds(draws, seed + 2)
            own = np.random.default_rng(seed)
            if node.correlation is None:
                found[potential] = simulated(place, draws, memory.rows, own, kinds)
            else:
                scores = _scores(own, number, len(atom.worlds), node.correlation, memory)
                found[potential] = coupled(place, draws, memory.rows, scores, kinds)
        total = total + _aggregated(atom, found, kinds)
    return np.asarray(total / replicates)


def _simulated_in_cells(atom: _Atom, memory: _Memory) -> Array:
    """Return an aggregate over simulated outcomes of many units in each cell, which share its weight."""
    number = copies(memory.rows)
    if memory.kinds is not None or any(place.joint for place in atom.worlds.values()):
        message = "Principal strata, or rows that go together, have only averages of linear quantities over cells."
        raise EstimandError("HDM520", message, "Take an average over the cells, or units of the data.")
    rng = np.random.default_rng(memory.seed)
    parts: dict[Potential, list[Array]] = {potential: [] for potential in atom.worlds}
    for _ in range(number):
        seed = int(rng.integers(2**62))
        for each, (potential, place) in enumerate(atom.worlds.items()):
            own = np.random.default_rng(seed)
            if atom.node.correlation is None:
                parts[potential].append(simulated(place, memory.draws, memory.rows, own))
            else:
                scores = _scores(own, each, len(atom.worlds), atom.node.correlation, memory)
                parts[potential].append(coupled(place, memory.draws, memory.rows, scores))
    whole = {potential: np.concatenate(found, axis=1) for potential, found in parts.items()}
    return _aggregated(replace(atom, units=atom.units.repeated(number)), whole, None)


def _scores(rng: np.random.Generator, number: int, worlds: int, correlation: float, memory: _Memory) -> Array:
    """Return the standard normal scores of one of the worlds: any two worlds have the stated correlation."""
    shape = (worlds, *_shape(memory))
    matrix = np.full((worlds, worlds), correlation)
    np.fill_diagonal(matrix, 1.0)
    values, vectors = np.linalg.eigh(matrix)
    if values.min() < -1e-9:
        raise EstimandError("HDM502", f"{worlds} potential outcomes cannot all have the correlation {correlation:g}.")
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    return np.asarray(np.tensordot(root[number], rng.standard_normal(shape), axes=1), dtype=np.float64)


def _shape(memory: _Memory) -> tuple[int, int]:
    return next(iter(memory.draws.values())).shape[0], memory.rows


def _aggregated(atom: _Atom, outcomes: Mapping[Potential, Array], kinds: Kinds | None) -> Array:
    units = atom.units if kinds is None else atom.units.in_parts(kinds.parts_of_row)

    def lookup(node: study.Expr) -> Array | None:
        if isinstance(node, Potential):
            return outcomes[node]
        if isinstance(node, study.Ref):
            found = units.row_value(node)
            return found if kinds is None else kinds.spread(found)
        if isinstance(node, study.Comparison) and isinstance(node.left, Potential):
            return _against_label(node, outcomes[node.left], atom.units)
        if isinstance(node, study.Comparison):
            return tested_stratum(atom.units.bound, node, kinds)
        return None

    values = arithmetic(atom.node.of, lookup)
    if values.ndim < 2:
        number = next(iter(outcomes.values())).shape[0] if outcomes else _draws(kinds)
        values = np.broadcast_to(values, (number, units.rows))
    drawn = within_strata(units.bound, atom.node.where, kinds)
    if kinds is not None and kinds.counts is not None:
        drawn = kinds.counts if drawn is None else kinds.counts * drawn
    return aggregate(values, units, atom.node, drawn)


def _draws(kinds: Kinds | None) -> int:
    """Return the number of draws of the strata, 1 without."""
    if kinds is None:
        return 1
    return len(kinds.of_part if kinds.counts is None else kinds.counts)


def _against_label(test: study.Comparison, simulated: Array, units: Units) -> Array | None:
    """Return a test of a categorical outcome against one of its values; None for other outcomes."""
    assert isinstance(test.left, Potential)
    labels = units.bound.variables[test.left.outcome].labels
    return compare_labels(test, simulated, labels) if labels else None


def _combined(estimand: Estimand, parts: Mapping[Aggregate, Array]) -> Array:
    """Return an estimand of some draws from its aggregates of them."""

    def lookup(node: study.Expr) -> Array | None:
        return parts[node] if isinstance(node, Aggregate) else None

    return np.asarray(arithmetic(estimand.value, lookup), dtype=np.float64)
