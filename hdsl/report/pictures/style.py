"""How pictures look, and their files."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any

from hdsl.design.snippets import StudyError
from hdsl.diagnostics import Diagnostic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, GREY, FAINT = "#1b1f24", "#59636e", "#d1d9e0"
BLUE, ORANGE, GREEN, PURPLE, RED = "#0b5394", "#b45309", "#1a7f37", "#6639ba", "#b3261e"
ARMS = (GREY, BLUE, ORANGE, GREEN, PURPLE, RED)
SETTINGS: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "svg.hashsalt": "hdsl",
}


@contextmanager
def styled() -> Generator[None]:
    """Draw in the style of hdsl's pictures, without touching the caller's settings."""
    import matplotlib

    with matplotlib.rc_context(SETTINGS):
        yield


def figure(width: float, height: float) -> Figure:
    """Return a figure of a size in inches, that no window shows."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def axes(found: Figure, columns: int = 1, rows: int = 1, **options: Any) -> list[Axes]:
    """Return the axes of a figure in reading order."""
    made: Any = found.subplots(rows, columns, squeeze=False, **options)
    return [each for line in made for each in line]


def bare(ax: Axes) -> None:
    """Leave the left side out: labels suffice."""
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)


def short(text: str, most: int = 34) -> str:
    """Return a label that is not too long."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def plain(text: str) -> str:
    """Return text in which matplotlib sees no mathematics."""
    return text.replace("$", r"\$")


def refused(message: str, help_: str = "") -> StudyError:
    """Return the error HDM118 for a picture that a result does not have."""
    return StudyError([Diagnostic("HDM118", message, help=help_)])


def file_of(found: Figure, kind: str) -> bytes:
    """Return a figure as the bytes of an svg, pdf or png file, without the time at which it was made."""
    import matplotlib

    with matplotlib.rc_context(SETTINGS):
        stream = io.BytesIO()
        metadata: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}
        found.savefig(stream, format=kind, dpi=160, metadata=metadata[kind])
    return stream.getvalue()


def inline_svg(found: Figure, title: str, description: str, key: str) -> str:
    """Return a figure as an `svg` element for a page: with title and description, its ids told apart by `key`."""
    text = file_of(found, "svg").decode()
    text = text[text.index("<svg") :]
    text = re.sub(r'\bid="([^"]+)"', rf'id="{key}-\1"', text)
    text = re.sub(r'(xlink:href="#|url\(#)([^")]+)', rf"\g<1>{key}-\g<2>", text)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    head, _, rest = text.partition(">")
    head = re.sub(r' (width|height)="[^"]*"', "", head)
    labels = f'<title id="{key}-t">{escape(title)}</title><desc id="{key}-d">{escape(description)}</desc>'
    width = float(found.get_figwidth())
    style = f'style="max-width:{width:.1f}in;width:100%;height:auto"'
    return f'{head} role="img" aria-labelledby="{key}-t {key}-d" {style}>{labels}{rest}'


def colours(names: Sequence[str]) -> dict[str, str]:
    """Return a colour for each arm, the reference grey."""
    return {name: ARMS[place % len(ARMS)] for place, name in enumerate(names)}


Picture = Callable[..., Any]
