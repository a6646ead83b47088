"""The catalogue as a page for analysts, in English or French: one file, no script, no outside asset; equal input, equal bytes."""

from collections.abc import Sequence
from html import escape

from deploy.catalogue_words import Words
from schemas.catalogue import Catalogue, Touchpoint
from schemas.event import Channel
from schemas.metrics import ALL, Metric, MetricKind
from schemas.rules import IMMEDIATE, BaselineKind, Rule, RuleKind
from schemas.windows import DAY_MS, HOUR_MS, MINUTE_MS, WINDOWS
from sinks.compiled import KINDS

_STYLE = (
    "*{box-sizing:border-box}body{margin:2rem auto;max-width:60rem;padding:0 1rem;font:1rem/1.5 system-ui,sans-serif;color:#1d2433;background:#fff}"
    "h1{margin-bottom:.3rem}h2{margin:2.5rem 0 .5rem;border-bottom:2px solid #d7deea}h3{margin:1.8rem 0 .2rem}"
    "code{font-size:.9rem;background:#eef2f8;padding:0 .2rem}pre{white-space:pre-wrap;padding:.6rem .8rem;background:#eef2f8;overflow:auto;margin:.3rem 0}"
    "pre code{padding:0}table{border-collapse:collapse;width:100%}td,th{padding:.25rem .8rem .25rem 0;text-align:left;vertical-align:top}"
    "th{width:9rem;font-weight:600;color:#4a5670}thead th{width:auto}nav{columns:3 14rem;margin:1rem 0}nav a{display:block}"
    "a{color:#1f5fbf;text-decoration:none}a:hover{text-decoration:underline}.small{color:#4a5670;font-size:.9rem}"
)
_METHODS = {
    MetricKind.MEAN: "t", MetricKind.GAP: "t", MetricKind.GRID: "t", MetricKind.RATE: "poisson_exact",
    MetricKind.COUNT: "poisson_exact", MetricKind.AMOUNT: "compound_poisson", MetricKind.DRIVER: "spearman_fisher",
    MetricKind.RESPONSE_QUANTILE: "order_statistic",
}  # fmt: skip
"""Intervals that SQL does not compute."""
_ANYTIME = frozenset({
    MetricKind.SHARE, MetricKind.NPS, MetricKind.MEAN, MetricKind.GAP, MetricKind.GAP_SHARE, MetricKind.GRID,
    MetricKind.EVENT_SHARE, MetricKind.RATE, MetricKind.RESPONSE, MetricKind.REPEAT,
})  # fmt: skip


def page(catalogue: Catalogue, words: Words) -> str:
    """Return the page."""
    say = words.labels
    names = [one.name for one in catalogue.metric] + [one.name for one in catalogue.alarm]
    links = "".join(f'<a href="#{escape(name)}">{escape(name)}</a>' for name in names)
    parts = [
        f"<h1>{escape(words.page)}</h1><p>{escape(words.intro.format(hash=catalogue.hash))}</p>",
        f'<p class="small">{escape(words.not_pooled)}</p><nav>{links}</nav>',
        f"<h2>{escape(say['metrics'])}</h2>",
        *(_metric(one, words) for one in catalogue.metric),
        f"<h2>{escape(say['alarms'])}</h2><p>{_marked(words.unarmed)}</p>" if catalogue.alarm else "",
        *(_rule(one, words) for one in catalogue.alarm),
        _touchpoints(catalogue.touchpoint, words),
        _exceptions(catalogue, words),
    ]
    return (
        f'<!doctype html><html lang="{words.lang}"><head><meta charset="utf-8"><title>{escape(words.page)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>'
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


def _metric(metric: Metric, words: Words) -> str:
    say, fields = words.labels, _fields(metric, words)
    rows = {
        "formula": words.formula[metric.kind].format_map(fields),
        "counts": words.counts[metric.kind].format_map(fields),
        "channels": "" if set(metric.channels) == set(Channel) else _codes(metric.channels),
        "one_per": "" if metric.one_per is None else say["first"].format(one_per=metric.one_per, period=_span(metric.one_per_period_ms, words)),
        "interval": _interval(metric, words),
        "n_min": say["below"].format(n_min=metric.n_min),
        "withheld": "" if metric.response_metric is None
        else say["withheld_text"].format(rate=metric.response_rate_min, metric=f"<code>{escape(metric.response_metric)}</code>"),
        "windows": "<br>".join(_window(metric, name, words) for name in metric.windows),
        "dimensions": _codes(metric.dimensions),
        "target": "" if metric.target is None else f"{metric.target:g}",
        "owner": escape(metric.owner),
        "series": f"<code>{escape(metric.identity)}</code>, {escape(say['version'].format(version=metric.version))}",
    }  # fmt: skip
    queries = [
        f"SELECT day, key, n, value, lo, hi FROM v_metric_{metric.name}\nWHERE dimension = '{_first_place(metric)}' ORDER BY day DESC"
    ]
    queries.append(
        "SELECT window_end, n, value, lo, hi, quality FROM v_readings_latest\n"
        f"WHERE metric = '{metric.name}' AND dimension = '{ALL}' AND window = '{metric.windows[-1]}' ORDER BY window_end DESC"
    )
    code = "".join(f"<pre><code>{escape(query)}</code></pre>" for query in queries)
    return _section(metric.name, metric.title, rows | {"sql": code}, words)


def _section(name: str, title: str, rows: dict[str, str], words: Words) -> str:
    body = "".join(
        f"<tr><th>{escape(words.labels[label])}</th><td>{text}</td></tr>" for label, text in rows.items() if text
    )
    heading = f'<h3 id="{escape(name)}"><code>{escape(name)}</code></h3><p>{escape(title)}</p>' if title else (
        f'<h3 id="{escape(name)}"><code>{escape(name)}</code></h3>'
    )  # fmt: skip
    return f"{heading}<table>{body}</table>"


def _fields(metric: Metric, words: Words) -> dict[str, str]:
    """Return what the formulas and conditions speak of, ready for HTML."""
    say = words.labels
    return {
        "question": escape(metric.question or "")
        + (f" ({metric.question_version})" if metric.question_version else ""),
        "second": escape(metric.expected_question or metric.overall_question or ""),
        "scale": "" if metric.scale is None else f"{metric.scale[0]}..{metric.scale[1]}",
        "box": say["box"].format(box=", ".join(map(str, metric.box))),
        "at_least": str(metric.at_least),
        "grid": escape(", ".join(f"{question} {weight:g}" for question, weight in metric.grid.items())),
        "events": _codes(metric.events) or say["all_events"],
        "among": _codes(metric.among) or words.contacts,
        "currency": escape(metric.currency or ""),
        "within": _span(metric.target_ms or metric.within_ms, words),
        "memory": _span(metric.memory_ms, words),
        "quantile": f"{metric.quantile:g}",
        "probes": say["customers"] if metric.probes else say["probes"],
    }


def _interval(metric: Metric, words: Words) -> str:
    estimate = KINDS[metric.kind].estimate(metric)
    if metric.bounds == "anytime" and metric.kind in _ANYTIME:
        method, here = "anytime", False
    else:
        method, here = estimate.method or _METHODS[metric.kind], bool(estimate.method)
    said = f"{metric.level:.4g} · {escape(words.interval[method])}"
    return said if here else f"{said} ({escape(words.labels['not_here'])})"


def _window(metric: Metric, name: str, words: Words) -> str:
    every = _span(WINDOWS[name].step_ms, words)
    return escape(words.labels["every"].format(name=name, step=every, lateness=_span(metric.lateness(name), words)))


def _first_place(metric: Metric) -> str:
    """Return the dimension that people look at first."""
    return next((one for one in ("touchpoint", *metric.dimensions) if one in metric.dimensions and one != ALL), ALL)


def _rule(rule: Rule, words: Words) -> str:
    say = words.labels
    fields = {
        "metric": f"<code>{escape(rule.metric)}</code>", "dimension": f"<code>{escape(rule.dimension)}</code>",
        "p1": ", ".join(f"{one:g}" for one in rule.p1), "factors": ", ".join(f"{one:g}" for one in rule.factors) or "0",
        "objective": "" if rule.objective is None else f"{rule.objective:g}",
    }  # fmt: skip
    promise = words.promise[rule.kind].format_map(fields)
    life = say["life_by_hand"]
    if rule.kind not in IMMEDIATE:
        life = say["life_text"].format(resolve=rule.resolve_min_answers, cooldown=_span(rule.cooldown_ms, words))
    if rule.kind not in IMMEDIATE | {RuleKind.BURN}:
        said = words.learned if rule.baseline is BaselineKind.LEARNED else words.fixed
        promise += " " + escape(
            said.format(
                budget=f"{rule.budget_per_week:g}", learn_min=rule.learn_min, lag=_span(rule.learn_lag_ms, words)
            )
        )
    rows = {
        "promise": promise, "severity": f"<code>{escape(rule.severity)}</code>", "life": escape(life),
        "owner": escape(rule.owner), "series": f"<code>{rule.definition_hash}</code>",
    }  # fmt: skip
    return _section(rule.name, "", rows, words)


def _touchpoints(touchpoints: list[Touchpoint], words: Words) -> str:
    names = ("name", "title", "parent", "time_zone", "hours", "owner")
    rows = [
        (
            one.name,
            one.title,
            one.parent or "",
            one.time_zone,
            f"{one.opens}–{one.closes}" if one.opens else "",
            one.owner or "",
        )
        for one in touchpoints
    ]
    return _table("touchpoints", names, rows, words)


def _exceptions(catalogue: Catalogue, words: Words) -> str:
    rows = [
        (one.name, one.first.isoformat(), one.last.isoformat(), ", ".join(one.touchpoints) or words.labels["all"])
        for one in catalogue.exception
    ]
    return _table("exceptions", ("name", "from", "to", "touchpoints"), rows, words)


def _table(title: str, names: tuple[str, ...], rows: Sequence[tuple[str, ...]], words: Words) -> str:
    if not rows:
        return ""
    kept = [i for i in range(len(names)) if any(row[i] for row in rows)]
    head = "".join(f"<th>{escape(words.labels[names[i]])}</th>" for i in kept)
    body = "".join("<tr>" + "".join(f"<td>{escape(row[i])}</td>" for i in kept) + "</tr>" for row in rows)
    return f"<h2>{escape(words.labels[title])}</h2><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _codes(names: tuple[str, ...]) -> str:
    return ", ".join(f"<code>{escape(one)}</code>" for one in names)


def _marked(text: str) -> str:
    """Return text with `code` marked."""
    plain = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if i % 2 else part for i, part in enumerate(plain))


def _span(ms: int, words: Words) -> str:
    """Return a span of time in the largest unit that divides it."""
    for unit, length in ((words.day, DAY_MS), ("h", HOUR_MS), ("min", MINUTE_MS), ("s", 1000)):
        if ms and ms % length == 0:
            return f"{ms // length} {unit}"
    return f"{ms} ms"
