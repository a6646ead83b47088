"""The words of the simulation report."""

from typing import NamedTuple

from deploy.simulation import null_hours


class Section(NamedTuple):
    """Null worlds of one kind."""

    title: str
    text: str
    works: tuple[str, ...]
    broken: str = ""
    """Why the promise is not kept where it is not, and what cures it."""


INTRODUCTION = """# How far you can trust the alarms

This page is made by `{command}` (or `make simulation-report`); the same seed gives the same numbers.

## The promise

Each alarm rule has a budget, `budget_per_week`: the number of false alarms a week that you accept from the whole rule, over
all its shops, products or channels together. Barometer keeps it on average: however many keys there are, however the traffic
moves, whichever keys come and go. An alarm is *false* when nothing has got worse than in the quiet days that the rule has
learned from (or than the level that you declared).

The promise rests on assumptions, and you should know them:

1. Of a share: one answer says nothing about the next, as long as nothing changes, or only as much as two answers of any
   day do. How much that is, is learned from the days (`day_effect`), since whole days are good or bad for reasons of their
   own, such as weather or staff. It fails where one customer answers again and again (cure: `one_per`), and in rules on
   scores, which take days as alike.
2. The baseline is right, or on the safe side. Learned baselines enter as an upper bound, so few answers make an alarm slow,
   not false.
3. Of a share: no hour is always worse than others, or the rule has a profile (`profile = "weekday_hour"`), which gives hours
   that differ levels of their own.
4. Where the number of events is watched, its spread is known: it is learned from the hours of quiet weeks.

The budget buys speed. A rule that may be wrong once a week finds the same fall sooner than one that may be wrong once a year.
At the end of this page stands what the packaged rule can find at all, and where it cannot.

## In short

{summary}

## How to read the tables

*promised* is the number of false alarms that the budget allows in the time that was simulated, *came* the number that came.
*at most (95 %)* is the exact one-sided 95 % Poisson bound of came / promised; the promise counts as **kept** if it is at most
1.1. Far fewer than promised is normal: an alarm usually comes with more evidence than needed, and the more answers
a pane holds, the more so. Budgets are short here, so that there is something to count. *replayed* says how many panes of the
row were also played one by one through the product's own detector, which gave the same alarms; the rest is computed by a
faster form of the same arithmetic, equal to the last bit. *not ours* marks what Barometer does not do, for comparison.
"""

NULL_WORLDS = """## Worlds in which nothing gets worse

Unless a row says otherwise: a bad share of .10, 100 answers a day and key, a rule that looks for .25 (`p1`) and may be wrong
once in 2,000 answers of a key, panes of 10 s, grouped counts.
"""

SECTIONS = (
    Section(
        "Independent answers, from 1 a day to 1,000 a minute",
        "Every answer is bad with the chance .10, whatever came before. *Order-averaged* spreads the budget over the answers"
        ' of a pane (`grouping = "averaged"`). At 100 a minute and more, one false alarm is promised in 100 panes.',
        (
            "independent, 1 answer a day",
            "independent, 10 a day",
            "independent, 100 a day",
            "independent, 1 a minute",
            "independent, 10 a minute",
            "independent, 100 a minute",
            "independent, 1,000 a minute",
            "three changes",
        ),
    ),
    Section(
        "1, 20 and 500 keys",
        "One rule, one budget of one false alarm a day, shared by its keys, whose rates lie up to tenfold apart.",
        ("1 keys", "20 keys", "500 keys"),
    ),
    Section(
        "Keys that appear and vanish",
        "Ten shops become about ninety; a shop lives 30 days on average. Shares of the budget are fixed at each midnight among"
        " those alive; a new shop is watched from the next midnight on. Beside it: a budget by key, set on the first day.",
        ("appearing",),
        "Not ours: a budget by key grows with the number of keys.",
    ),
    Section(
        "A campaign",
        "One week in four brings ten times the answers. Beside it: a threshold by number of answers, set in usual weeks.",
        ("campaign",),
        "Not ours: a threshold by number of answers gives more false alarms when there are more answers.",
    ),
    Section(
        "Weekday and hour",
        "Volume follows the hour of the day, and weekends bring twice as much. Then the bad share follows the hour too:"
        " twice, and four times as high from 17 h on as before.",
        ("profile",),
        "A rule on shares has one baseline for all hours, unless it has a profile. Evenings four times as bad as days then look"
        " like a fall every evening. The cure is a learned profile, next table. A fixed baseline has none: state the level of"
        " the worst hours, which costs the delay in the note; a larger `p1_margin` does not help.",
    ),
    Section(
        "Hours that are worse in themselves, learned",
        'The rule learns from 29 or 21 days of the same world, without and with `profile = "weekday_hour"`. Hours that differ'
        " beyond chance then have bounds of their own, weekdays too after 4 full weeks; with 21 days all weekdays share those"
        " of the hours, so evenings of the weekend are compared with all evenings. The note says what else it is good for:"
        " where good hours have a lower level, a change that they alone show is found sooner.",
        tuple(null_hours.work()),
        "Without a profile the bound of the mean has only so much room above it as few answers leave: with 1,000 answers a day"
        " every evening is a fall. The cure is the row below.",
    ),
    Section(
        "A shift of the mix",
        "Two channels (or ten children of a parent) have levels of their own, and every other week most answers come from the"
        " worse ones. Nobody got worse. Barometer compares each stratum with itself.",
        ("mix",),
        "Not ours: a pooled rule takes the change of the mix for a fall.",
    ),
    Section(
        "Learned baselines",
        "1,000 keys each learn their baseline from so many answers and are then watched. The bound `learn_confidence` is what"
        " the rule uses, .999 as packaged; the plain share is what a rule without a bound would use.",
        ("learned from 200", "learned from 1000", "learned from 5000"),
        "Not ours: half of all plain shares lie below the truth, and those of few answers far below it.",
    ),
    Section(
        "Customers who answer 1 to 30 times",
        'Each customer is of one opinion and repeats it, 4 times on average within a week. With `one_per = "subject"` and a'
        " period of a week the first answer counts, the others are kept and marked. (Fewer answers are then watched.)",
        ("returning",),
        "Repeated opinions are no independent evidence. The cure is the row below: `one_per`.",
    ),
    Section(
        "Good and bad days",
        "Each day and key has a bad share of its own, drawn from a beta distribution around .10; rho is the correlation of two"
        " answers of a day. One false alarm is promised in 20 days of a key. Baselines and day effects are learned by the"
        " product from 29 such days; beside it a rule that takes days as alike (`day_effect = 0`), and one with a fixed"
        " baseline and a declared day effect. Where days differ a day has less to say, and a change takes longer to find: the"
        " note says how long, from 8 h of a day on. Rows with rho = 0 show what learning costs where days are alike. A day"
        " effect is learned from 10 days at least, of the stratum, else of all strata of the key, else of all keys of the rule;"
        " before there are so many, days count as alike.",
        tuple(
            f"day effects {rho}, {per_day} a day"
            for per_day in (20, 100, 1000)
            for rho in (0.0, 0.005, 0.01, 0.02, 0.03)
        ),
        "The rows without a day effect take bad days for changes, the more so the more answers a day has. The cure is the row"
        ' above each: `day_effect = "learned"`, which is what a learned baseline does by itself. A fixed baseline learns'
        " nothing: declare the figure that the evidence of a learned rule shows as `rho`.",
    ),
    Section(
        "Counts: Poisson",
        "Orders, contacts or any other events, as many as expected, from one in 50 s to 200 a pane; the rule looks for half as"
        " many, or twice as many. Here an empty pane is evidence.",
        ("counts of 0.2", "counts of 10", "counts of 200"),
    ),
    Section(
        "Counts that vary more than chance",
        "Variance / mean of a pane's count is 1, 2 or 4. The rule assumes Poisson, the right dispersion, or half of it.",
        ("dispersion 1", "dispersion 2", "dispersion 4"),
        "Assumed dispersion below the true one takes ordinary ups and downs for changes. The cure is the row with the right"
        " dispersion; the product learns it (next table).",
    ),
    Section(
        "Counts with a learned rate and dispersion",
        "100 series with 60 events an hour, the hours of which rise and fall as a whole; rate and dispersion are learned by the"
        " product from 28 days. Beside them: Poisson with the learned bound, and with the true mean.",
        ("learned dispersion 1", "learned dispersion 2", "learned dispersion 4"),
        "Poisson is too narrow for such hours. The product does not assume it: it learns the dispersion, as in the first rows.",
    ),
    Section(
        "Counts by weekday and hour",
        'Volume follows the hour of the day and the weekend. A flat baseline, and `profile = "weekday_hour"`, both learned by'
        " the product from 28 days.",
        ("counts by hour",),
        "A flat baseline reports every night as a fall and every rush hour as a rise. The cure is the profile.",
    ),
)

ENGINE = """## The engine says the same

The tables above play the detector's statistic. Here the same panes go through the whole engine (cells, baselines, renewals,
episodes, decisions), each alarm resolved by command in its pane so that the next is looked for. Vanished keys keep their part
of the budget for the 36 days that the state reaches back, so that fewer alarms come than promised.
"""

DELAYS = """## How late a change is found

Each detector knows the baseline and the change that it looks for, and is set to the false-alarm rate that ours really had in
the row (not the one promised), by simulation or by an exact chain. Per-answer detectors see every answer at once and in order;
ours sees panes. The change comes at any place of a pane, long after the start. A dash: the detector cannot be set to that rate, or
the rate is too low to be measured. **within 15 % + 1 pane**: our mean delay is at
most 1.15 times the shortest in the row plus one pane.
"""

SHARE_DELAYS = """### Bad shares, in answers

The rolling window is the best of the last 50, 100 and 200 answers: the Wilson bound of their share against the baseline. The
plain share of a period is looked at when the period ends: a day at 100 answers a day, else 10 minutes. *cost of learning*: our
delay with a baseline learned from so many answers by our delay with the true one, same budget; *not found*: not within 8,000
answers in 99.5 % of the cases.
"""

COUNT_DELAYS = """### Counts, in panes

The others look five times a pane, or once a pane at 0.2 events a pane. Windows: 50 to 400 panes at 0.2 events a pane, 2 to 20 at
10, 1 to 4 beyond; the plain count is of a day at 0.2 events a pane, else of 10 minutes. *cost of learning*: from so many events
in 28 days; *not found*: not within 1,500 expected events.
"""

LATE = """Ours waits for the end of its pane, and at these rates a pane is longer than what the best detector needs."""

LEARNING = """### What learning costs, and what another detector would make of the same answers

100 answers a day. Ours uses the bound; the CUSUM uses the plain share of the same number of answers. Its limit is set by exact
chains so that over all baselines that could have been learned it has the false-alarm rate that ours had. Nobody could set it so
in practice, for that takes the true share. Nor does it protect a single key: most of its false alarms come from the keys with
the luckiest days to learn from.

Where it says no: with 200 answers and the packaged confidence of .999 the bound lies so high that a moderate change hides below
it; the promise is then kept a hundred times over. A lower `learn_confidence` buys speed and still keeps the budget on average
(see also "Learned baselines" above), as long as days do not differ ("Good and bad days"). More answers are the better cure.
"""

FOUND = """## What the packaged rule can find

`satisfaction_drop`: one false alarm a week over all keys, baseline .10, looking for .25 and .50 (with day effects: what the
.25 alone finds). The smallest bad share whose mean delay from the change to the alarm fits the time. A find must also come within a quarter of the time between false alarms of the key,
or it would tell too little: one key alone spends a whole false alarm a week, so for it every column ends at 1.75 days; where
keys share the budget each waits longer for a false alarm and may look longer. A dash: no share is found in time.
"""

COVERAGE = """## Coverage of the intervals

How often the interval beside a value holds the true value. *mean within 1 point*: averaged over the truths it is within one
point of its level; *at least the level*: at every truth.
"""

UNCOVERED = """**Where it says NO.** Wilson's interval of 5 or 10 answers is a little too wide at 90 %, by up to 1.4 points on average. The usual t interval of a mean falls short with few skewed answers; it stands here for comparison with the adjusted
one, which the readings use. Wilson's interval is made for one look: whoever looks after every answer needs the anytime-valid
one.
"""
