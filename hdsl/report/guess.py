"""What a data file suggests of a design: levels, treatment, outcome, covariates. Every answer is a guess."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from hdsl.data.columns import to_binary, to_category, to_count, to_positive, to_proportion, to_real, to_wave
from hdsl.data.table import Column, Table

type Codes = NDArray[np.int64]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


IDS = _words("id ids nr no num number code key")
WAVES = _words("wave visit week month day year time occasion period session round quarter")
RANKS: Mapping[str, int] = {
    word: rank
    for rank, words in enumerate(
        (
            "country nation",
            "region state province county district zip postcode",
            "site center centre hospital clinic school village town community cluster firm company farm",
            "class classroom grade ward teacher section practice department block stratum strata plot subplot",
            "household hh family pair litter dyad team batch couple",
            "person pid subject participant patient student pupil child individual respondent worker animal voter "
            "rater judge item",
        )
    )
    for word in words.split()
}
CROSSED = _words("rater judge item")
ABBREVIATED = {"hh": "household", "pid": "person", "strata": "stratum"}
TREATMENTS = _words(
    "treat treated treatment trt tx arm assign assigned assignment condition intervention offer program programme "
    "randomised randomized allocation"
)
PERHAPS_TREATMENTS = _words("group grp z drug exposed exposure dose")
BEFORE = _words(
    "pre pretest base baseline prior before age sex gender female male race ethnicity married smoker height weight "
    "education schooling birth"
)
OUTCOMES: Mapping[str, int] = {
    **dict.fromkeys(_words("outcome endpoint y result response"), 3),
    **dict.fromkeys(_words("post posttest followup endline final after"), 2),
    **dict.fromkeys(
        _words("score test mark earnings income pay wage cost cured died death survived voted pain mood relapse"), 1
    ),
}
REFERENCES = _words("0 control controls placebo usual none no sham standard old untreated baseline c")
NO_OUTCOME = _words("se sd std stderr err error weight wt weights exposure")
COUNTED = _words("count counts visits falls events episodes seizures")
MOST_ARMS = 8
MOST_CATEGORIES = 30
DENSE = 0.7


@dataclass(frozen=True, eq=False)
class Look:
    """What a column looks like.

    Attributes
    ----------
    kind : str
        The narrowest kind of variable that all its values fit.
    codes : int array, shape (rows,)
        Which of the distinct values each row has; -1 is missing.
    first : tuple of str
        The first few distinct values.
    occasions : bool
        Whether all values are numbers or dates, as those of a wave must be.
    """

    name: str
    kind: str
    codes: Codes
    first: tuple[str, ...]
    distinct: int
    missing: int
    occasions: bool

    @property
    def parts(self) -> tuple[str, ...]:
        """The words of the name in order and small letters, `schoolID` and `school_id` being alike."""
        apart = re.sub(r"([a-z])([A-Z])", r"\1 \2", self.name)
        found = re.findall(r"[^\W\d_]+", apart.lower())
        return tuple(part for word in found for part in _without_id(word))

    @property
    def words(self) -> frozenset[str]:
        """The words of the name."""
        return frozenset(self.parts)

    @property
    def timed(self) -> bool:
        """Whether the name is one of occasions."""
        return bool(self.words & WAVES) and self.words - IDS <= WAVES

    @property
    def rank(self) -> int:
        """How far from the outermost level the name suggests; 3 where it says nothing."""
        return max((RANKS[word] for word in self.words if word in RANKS), default=3)


@dataclass(frozen=True, eq=False)
class Level:
    """A level: its id column and the levels around it. `codes` are its units, compound where ids repeat."""

    name: str
    look: Look | None
    parent: str | None
    crosses: tuple[str, ...]
    codes: Codes
    word: str = "group"
    repeats: bool = False

    @property
    def size(self) -> int:
        """The number of units."""
        return int(self.codes.max(initial=-1)) + 1


@dataclass(frozen=True, eq=False)
class Guess:
    """The design that a table suggests; the last of `levels` is the row. `others` come with their level's name."""

    levels: tuple[Level, ...]
    treatment: Look | None
    to: Level | None
    within: Level | None
    outcome: Look | None
    others: tuple[tuple[Look, str], ...]


def look(column: Column) -> Look:
    """Return what a column looks like."""
    coded = to_category(column)
    kind = "category"
    tried = (to_binary, to_count, to_proportion, to_positive, to_real)
    for candidate, coerce in zip(("binary", "count", "proportion", "positive", "real"), tried, strict=True):
        found = coerce(column)
        if not found.problems and bool((coded.codes >= 0).any()):
            kind = candidate
            break
    first = tuple(coded.names.slice(0, MOST_ARMS).to_pylist())
    occasions = not to_wave(column).problems
    return Look(column.name, kind, coded.codes, first, len(coded.names), int((coded.codes < 0).sum()), occasions)


def guess(table: Table) -> Guess:
    """Return the design that a table suggests."""
    looks = [look(table.column(name)) for name in table.column_names]
    rows = table.num_rows
    marked = [each for each in looks if _is_key(each)]
    treatment = _treatment([each for each in looks if each not in marked])
    levels = _levels([each for each in marked if each is not treatment], looks, rows)
    keys = {level.look for level in levels}
    rest = [each for each in looks if each not in keys and each is not treatment]
    outcome = _outcome(rest)
    if treatment is None:
        treatment = _first_choice(each for each in rest if each is not outcome)
    to, within = (None, None) if treatment is None else _assigned(treatment, levels)
    others = tuple((each, _home(each, levels)) for each in rest if each is not outcome and each is not treatment)
    return Guess(levels, treatment, to, within, outcome, others)


def shape_of(groups: Sequence[Look], others: Sequence[Look], outcome: Look, rows: int) -> Guess:
    """Return the design that a table suggests where its groups, predictors and outcome are known."""
    levels = _levels(groups, (), rows)
    treatment = _treatment(others) or _first_choice(others)
    to, within = (None, None) if treatment is None else _assigned(treatment, levels)
    rest = tuple((each, _home(each, levels)) for each in others if each is not treatment)
    return Guess(levels, treatment, to, within, outcome, rest)


def _without_id(word: str) -> tuple[str, ...]:
    stem = word.removesuffix("id")
    return (stem, "id") if stem != word and stem in RANKS else (word,)


def _is_key(each: Look) -> bool:
    """Tell whether a column names units: nothing but words for levels, an `id`, or very many labels that repeat."""
    if each.missing or each.distinct < 2 or each.words & TREATMENTS or each.timed:
        return False
    known = bool(each.words) and each.words - IDS <= RANKS.keys()
    if each.kind == "category":
        many = MOST_CATEGORIES < each.distinct <= len(each.codes) / 2
        return known or bool(each.words & IDS) or (each.parts[-1:] != () and each.parts[-1] in RANKS) or many
    return (each.kind == "count" and (known or bool(each.words & IDS))) or (each.kind == "binary" and known)


def _named_unit(each: Look) -> bool:
    return bool(each.words) and each.words <= RANKS.keys() | IDS


# Levels


def combined(*parts: Codes) -> Codes:
    """Return codes of the combinations met, shape (rows,)."""

    def pair(one: Codes, other: Codes) -> Codes:
        _, codes = np.unique(one * (int(other.max(initial=0)) + 1) + other, return_inverse=True)
        return codes.astype(np.int64)

    return reduce(pair, parts)


def _count(codes: Codes) -> int:
    return int(codes.max(initial=-1)) + 1


def nested(inner: Codes, outer: Codes) -> bool:
    """Tell whether each unit of `inner` lies in one of `outer`."""
    return _count(combined(inner, outer)) == _count(inner)


def _levels(marked: Sequence[Look], looks: Sequence[Look], rows: int) -> tuple[Level, ...]:
    ordered = sorted(marked, key=lambda each: (each.rank, each.distinct))
    own = next((each for each in reversed(ordered) if each.distinct == rows), None)
    chain, crossed = _chain([each for each in ordered if each.distinct < rows])
    if own is None and chain and not crossed and _count(chain[-1].codes) == rows:
        own = chain.pop().look
    wave = _wave(looks, chain, rows) if own is None else None
    names = [level.name for level in (*chain, *crossed)]
    around = [chain[-1].name] if chain else []
    around += [level.name for level in crossed]
    waves = [] if wave is None else [Level(_level_name(wave, names), wave, None, (), wave.codes, "wave")]
    around += [level.name for level in waves]
    row = Level(
        _row_name(own, [*names, *(level.name for level in waves)]),
        own,
        around[0] if len(around) == 1 else None,
        tuple(around) if len(around) > 1 else (),
        np.arange(rows),
        "unit",
    )
    return (*chain, *crossed, *waves, row)


def _chain(ordered: Sequence[Look]) -> tuple[list[Level], list[Level]]:
    """Return the levels that nest one in the next, outermost first, and those that cross them."""
    chain: list[Level] = []
    crossed: list[Level] = []
    for each in ordered:
        name = _level_name(each, [level.name for level in (*chain, *crossed)])
        parent = next((level for level in reversed(chain) if nested(each.codes, level.codes)), None)
        if parent is not None and parent.size == each.distinct:
            continue
        last = chain[-1] if chain else None
        if last is None or parent is last:
            chain.append(Level(name, each, None if last is None else last.name, (), each.codes))
        elif each.rank > _rank(last) and _numbered_anew(each, last):
            chain.append(Level(name, each, last.name, (), combined(last.codes, each.codes), repeats=True))
        else:
            crossed.append(Level(name, each, None if parent is None else parent.name, (), each.codes))
    return chain, crossed


def _rank(level: Level) -> int:
    return 3 if level.look is None else level.look.rank


def _numbered_anew(inner: Look, outer: Level) -> bool:
    """Tell whether the ids of `inner` look as if they began anew in each unit of `outer`: 1, 2, 3 in each."""
    if inner.words & CROSSED:
        return False
    met = combined(outer.codes, inner.codes)
    most = int(np.bincount(outer.codes[np.unique(met, return_index=True)[1]]).max(initial=0))
    return inner.distinct <= 1.5 * most


def _wave(looks: Sequence[Look], chain: Sequence[Level], rows: int) -> Look | None:
    """Return the column of occasions at which each innermost unit is seen once, or most are seen, if there is one."""
    if not chain:
        return None
    for each in looks:
        if each.timed and each.occasions and each.missing == 0 and 1 < each.distinct < rows:
            met = _count(combined(chain[-1].codes, each.codes))
            dense = each.distinct <= MOST_CATEGORIES and met >= DENSE * each.distinct * chain[-1].size
            if met == rows or dense:
                return each
    return None


def legal(name: str) -> str:
    """Return a name that the language takes, as near to a column's as can be."""
    found = re.sub(r"\W+", "_", name).strip("_") or "x"
    return f"x_{found}" if found[0].isdigit() else found


def _level_name(each: Look, taken: Sequence[str]) -> str:
    words = re.sub(r"_?(id|ids|nr|no|num|number|code|key)$", "", legal(each.name), flags=re.IGNORECASE).strip("_")
    name = ABBREVIATED.get(words.lower(), ABBREVIATED.get(each.name.lower(), words)) or "person"
    return fresh(name, taken)


def _row_name(own: Look | None, taken: Sequence[str]) -> str:
    if own is None:
        return fresh("record" if taken else "person", taken)
    return _level_name(own, taken)


def fresh(name: str, taken: Iterable[str]) -> str:
    """Return a name that is not taken yet."""
    used = set(taken)
    return next(found for found in (name, *(f"{name}_{n}" for n in range(2, len(used) + 3))) if found not in used)


# Treatment and outcome


def _arms(each: Look) -> bool:
    doses = "dose" in each.words and each.kind != "category" and each.distinct > 1
    return doses or (2 <= each.distinct <= MOST_ARMS and each.kind in ("binary", "count", "category"))


def _treatment(looks: Sequence[Look]) -> Look | None:
    for words in (TREATMENTS, PERHAPS_TREATMENTS):
        found = next((each for each in looks if each.words & words and not each.words & BEFORE and _arms(each)), None)
        if found is not None:
            return found
    return None


def _first_choice(looks: Iterable[Look]) -> Look | None:
    """Return the first column with an arm called control or the like, else the first of zeros and ones.

    Those that are plainly from before treatment are left out.
    """
    able = [each for each in looks if 2 <= each.distinct <= MOST_ARMS and not _before(each) and not _named_unit(each)]
    labelled = (each for each in able if each.kind == "category" and any(map(is_reference, each.first)))
    return next(labelled, next((each for each in able if each.kind == "binary" and each.distinct == 2), None))


def is_reference(value: str) -> bool:
    """Tell whether a code looks like that of an untreated arm."""
    return bool(set(re.findall(r"[^\W_]+", value.lower())) & REFERENCES)


def _before(each: Look) -> bool:
    return bool(each.words & BEFORE)


def _outcome(looks: Sequence[Look]) -> Look | None:
    able = [each for each in looks if each.distinct > 1 and not _before(each) and _measures(each)]
    able = [each for each in able if not each.words & NO_OUTCOME and not each.timed and not _named_unit(each)]
    if not able:
        return None

    def merit(place: int) -> tuple[int, bool, int]:
        each = able[place]
        named = max((_merit(word) for word in each.words), default=0)
        return named, each.kind not in ("category", "binary"), place

    return able[max(range(len(able)), key=merit)]


def _merit(word: str) -> int:
    ends = (merit for known, merit in OUTCOMES.items() if len(known) > 3 and word.endswith(known))
    return OUTCOMES.get(word, max(ends, default=0))


def _measures(each: Look) -> bool:
    return each.kind != "category" or each.distinct <= MOST_ARMS


def outcome_kind(each: Look) -> str:
    """Return the kind of an outcome: real for numbers, unless the name says that something was counted."""
    if each.kind in ("binary", "category"):
        return each.kind
    return "count" if each.kind == "count" and each.words & COUNTED else "real"


def _same_within(each: Look, level: Level) -> bool:
    known = each.codes >= 0
    return nested(level.codes[known], each.codes[known]) if known.any() else False


def _assigned(treatment: Look, levels: Sequence[Level]) -> tuple[Level, Level | None]:
    """Return the outermost level within which the treatment is the same, and the block above it, if it is one."""
    row, chain = levels[-1], [level for level in levels[:-1] if level.word == "group"]
    to = next((level for level in chain if _same_within(treatment, level)), row)
    above = next((level for level in levels if level.name == to.parent), None)
    if above is None and to is row and to.crosses:
        above = next(level for level in levels if level.name == to.crosses[0])
    if above is None:
        return to, None
    known = treatment.codes >= 0
    met = np.unique(combined(above.codes[known], treatment.codes[known]), return_index=True)[1]
    arms = np.bincount(above.codes[known][met])
    return to, above if np.mean(arms[arms > 0] > 1) >= 0.9 else None


def _home(each: Look, levels: Sequence[Level]) -> str:
    """Return the outermost level within which a column is the same: the level it belongs to."""
    if each.missing == len(each.codes):
        return levels[-1].name
    whole = each.missing == 0
    return next(
        (level.name for level in levels[:-1] if whole and each.distinct > 1 and _same_within(each, level)),
        levels[-1].name,
    )
