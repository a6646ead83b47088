"""Small drawings of a value with its interval and target, for pages without scripts or outside assets."""

from deploy.report.markup import Html, tag

WIDTH, HEIGHT, EDGE = 180, 20, 5
INK, BAND, MARK = "#12324a", "#8fb4d1", "#b3261e"


def interval_bar(
    value: float, lo: float, hi: float, *, scale: tuple[float, float], label: str, mark: float | None = None
) -> Html:
    """Return an SVG: the interval as a band, the value as a dot, the target as an upright line, all on one scale."""
    least, most = scale

    def x(at: float) -> str:
        where = 0.5 if most == least else (min(max(at, least), most) - least) / (most - least)
        return f"{EDGE + where * (WIDTH - 2 * EDGE):.1f}"

    middle = HEIGHT / 2
    shapes = [
        tag("line", x1=EDGE, x2=WIDTH - EDGE, y1=middle, y2=middle, stroke="#d5dbe1", stroke_width=1),
        tag("line", x1=x(lo), x2=x(hi), y1=middle, y2=middle, stroke=BAND, stroke_width=8),
        tag("circle", cx=x(value), cy=middle, r=3.5, fill=INK),
    ]
    if mark is not None:
        shapes.append(tag("line", x1=x(mark), x2=x(mark), y1=2, y2=HEIGHT - 2, stroke=MARK, stroke_width=2))
    return tag(
        "svg", tag("title", label), shapes, role="img", width=WIDTH, height=HEIGHT, viewBox=f"0 0 {WIDTH} {HEIGHT}"
    )


def scale_of(bands: list[tuple[float, float]], marks: list[float]) -> tuple[float, float]:
    """Return the scale on which all these intervals and marks lie, with a little room."""
    ends = [end for band in bands for end in band] + marks
    if not ends:
        return 0.0, 1.0
    least, most = min(ends), max(ends)
    room = (most - least) * 0.04 or 1.0
    return least - room, most + room
