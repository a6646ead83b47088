-- Readings of all at a fixed mix of channels, and which verbatims show what an alarm is about.

-- At an end without a row stands the value of the nearest earlier end. What stands at the ends of all is found in one walk along the
-- rows in order of time, which keeps the last row of each channel: a filter by metric reads that metric alone (it would not
-- reach the other sides of joins). Rows of 28 days are met once more a window length later, when they become its reference.
-- The interval is that of Zou and Donner 2008 (MOVER) for a weighted mean of independent values; its weights add up to 1, so it
-- never leaves the range of the intervals that it is made of. Only methods of values that are means (shares, NPS, means, gaps,
-- grids) have a row: counts, amounts, rates, correlations and quantiles of all are no mean of those of the channels.
CREATE VIEW IF NOT EXISTS v_readings_mix
(
    metric LowCardinality(String) COMMENT 'Metric by its name in the catalogue',
    metric_version LowCardinality(String) COMMENT 'Metric identity: name@hash of its definition',
    window LowCardinality(String) COMMENT 'Trailing window: 1h, 24h, 7d or 28d',
    window_end DateTime64(3, 'UTC') COMMENT 'End of the window, not included',
    n Int64 COMMENT 'Answers in the window, of all channels',
    value Nullable(Float64) COMMENT 'Value of all: shares 0..1, NPS -100..100, means on their scale; NULL without data',
    lo Nullable(Float64) COMMENT 'Lower bound of its interval',
    hi Nullable(Float64) COMMENT 'Upper bound of its interval',
    mix Array(Tuple(channel String, n Int64, share Float64, value Nullable(Float64))) COMMENT 'Channels that answered in the window: answers, share of all answers (0..1) and own value; empty where the metric is not counted by channel',
    reference_mix Array(Tuple(channel String, share Float64)) COMMENT 'Share of each channel in the answers of 28 days that ended before this window began; empty: no such answers',
    value_at_reference_mix Nullable(Float64) COMMENT 'What value would be if the channels had their shares of the reference and their values of now; NULL without a reference or a value',
    lo_at_reference_mix Nullable(Float64) COMMENT 'Lower bound of its interval (MOVER, Zou and Donner 2008)',
    hi_at_reference_mix Nullable(Float64) COMMENT 'Upper bound of its interval',
    covered Nullable(Float64) COMMENT 'Part of the reference mix, 0..1, whose channels have a value now; the value is taken over these alone, their shares scaled to 1; NULL without a reference',
    reference_end Nullable(DateTime64(3, 'UTC')) COMMENT 'End of the newest 28 days that ended when this window began or earlier and changed a channel; the mix has stayed since; NULL without a reference'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    metric, metric_version, window, at AS window_end, n, value, lo, hi,
    arrayMap(one -> (one.1, one.2, one.2 / arraySum(here.2), if(isNaN(one.3), NULL, one.3)), here) AS mix,
    arrayMap(one -> (one.1, one.6 / arraySum(once.6)), once) AS reference_mix,
    if(notEmpty(both) AND isNotNull(value), arraySum(arrayMap(one -> one.6 * one.3, both)) / arraySum(both.6), NULL) AS value_at_reference_mix,
    value_at_reference_mix - sqrt(arraySum(arrayMap(one -> pow(one.6 * (one.3 - one.4), 2), both))) / arraySum(both.6) AS lo_at_reference_mix,
    value_at_reference_mix + sqrt(arraySum(arrayMap(one -> pow(one.6 * (one.5 - one.3), 2), both))) / arraySum(both.6) AS hi_at_reference_mix,
    if(notEmpty(once), arraySum(both.6) / arraySum(once.6), NULL) AS covered,
    if(notEmpty(once), reached, NULL) AS reference_end
FROM
(
    SELECT
        metric, metric_version, window, at, any(n) AS n, any(value) AS value, any(lo) AS lo, any(hi) AS hi, max(past_reached) AS reached,
        arraySort(groupArrayIf((channel, now_n, now_value, now_lo, now_hi, past_n), now_n > 0 OR past_n > 0)) AS channels,
        arrayFilter(one -> one.2 > 0, channels) AS here,
        arrayFilter(one -> one.6 > 0, channels) AS once,
        arrayFilter(one -> one.2 > 0 AND one.6 > 0 AND NOT isNaN(one.3 + one.4 + one.5), channels) AS both
    FROM
    (
        SELECT
            metric, metric_version, window, at, role, channel, n, value, lo, hi,
            anyLastIf(n, role = 'now') OVER known AS now_n,
            anyLastIf(ifNull(value, nan), role = 'now') OVER known AS now_value,
            anyLastIf(ifNull(lo, nan), role = 'now') OVER known AS now_lo,
            anyLastIf(ifNull(hi, nan), role = 'now') OVER known AS now_hi,
            anyLastIf(n, role = 'past') OVER known AS past_n,
            anyLastIf(reached, role = 'past') OVER known AS past_reached
        FROM
        (
            SELECT metric, metric_version, window, at, role, n, value, lo, hi, reached, channel
            FROM
            (
                SELECT *, groupUniqArrayIf(toString(key), role != 'whole') OVER (PARTITION BY metric, metric_version, window) AS every
                FROM
                (
                    SELECT metric, metric_version, window, window_end AS at, if(dimension = '*', 'whole', 'now') AS role, key, window_end AS reached,
                        last.1 AS n, last.2 AS value, last.3 AS lo, last.4 AS hi
                    FROM
                    (
                        SELECT metric, metric_version, dimension, key, window, window_end, argMax((n, value, lo, hi), (revision, as_of)) AS last
                        FROM readings
                        WHERE dimension IN ('*', 'channel')
                            AND method IN ('wilson', 'anytime_share', 'adjusted_wald', 'anytime_nps', 't', 'adjusted_mean', 'anytime_mean')
                        GROUP BY metric, metric_version, dimension, key, window, window_end
                    )
                    UNION ALL
                    SELECT metric, metric_version, toLowCardinality(later.1) AS window, reached + toIntervalSecond(later.2) AS at, 'past' AS role, key, reached,
                        answers AS n, NULL AS value, NULL AS lo, NULL AS hi
                    FROM
                    (
                        SELECT metric, metric_version, key, window_end AS reached, argMax(n, (revision, as_of)) AS answers
                        FROM readings
                        WHERE dimension = 'channel' AND readings.window = '28d'
                        GROUP BY metric, metric_version, key, reached
                    )
                    ARRAY JOIN [('1h', 3600), ('24h', 86400), ('7d', 604800), ('28d', 2419200)] AS later
                )
            )
            ARRAY JOIN if(role != 'whole', [toString(key)], if(empty(every), [''], every)) AS channel
        )
        WINDOW known AS (PARTITION BY metric, metric_version, window, channel ORDER BY at, role = 'whole' ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
    )
    WHERE role = 'whole'
    GROUP BY metric, metric_version, window, at
)
COMMENT 'Readings of all with their mix of channels, and the value at the mix of 28 days before: a change of mix alone moves value, not value_at_reference_mix';

ALTER TABLE metrics ADD COLUMN IF NOT EXISTS good String COMMENT 'Which end of the value is good: high or low';

-- The judge never reads texts or ids, so what customers said about an alarm is looked up here. Times of evidence are whole minutes:
-- the minute of occurred_last counts. Events
-- and alarms meet by channel and UTC day, since a join wants something equal.
CREATE VIEW IF NOT EXISTS v_alarm_verbatims
(
    alarm_id String COMMENT 'Alarm as in v_alarm_history',
    event_ids Array(String) COMMENT 'Up to 5 events with a text that show what the alarm is about: bad answers and complaints first, the newest first; of an immediate alarm its event; empty: nobody wrote. Texts: v_events_text'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    a.alarm_id AS alarm_id, if(a.event_id != '', [a.event_id], f.event_ids) AS event_ids
FROM
(
    SELECT alarm_id, max(event_id) AS event_id FROM alarm_transitions GROUP BY alarm_id
) AS a
LEFT JOIN
(
    SELECT alarm_id, arrayMap(one -> one.3, groupArraySorted(5)((if(bad, 0, 1), -toUnixTimestamp64Milli(at), event_id))) AS event_ids
    FROM
    (
        SELECT
            s.alarm_id AS alarm_id, e.event_id AS event_id, e.occurred_at AS at,
            arrayFirstIndex((q, v, a, b) -> q = s.question AND (s.question_version = '' OR v = s.question_version) AND a = s.scale_min AND b = s.scale_max,
                e.answer_question, arrayResize(e.answer_question_version, length(e.answer_question)), e.answer_scale_min, e.answer_scale_max) AS answered,
            e.answer_score[answered] AS score,
            e.kind IN ('remark', 'complaint', 'letter', 'dispute') OR answered > 0 AND multiIf(
                s.metric_kind = 'nps', score <= 6,
                empty(s.box), if(s.good = 'low', 2 * score > s.scale_min + s.scale_max, 2 * score < s.scale_min + s.scale_max),
                has(s.box, toInt32(score)) = (s.good = 'low')) AS bad
        FROM
        (
            SELECT event_id, v.channel AS channel, v.kind AS kind, v.touchpoint AS touchpoint, v.product AS product, attributes, occurred_at, t.parent AS parent,
                answer_question, answer_question_version, answer_score, answer_scale_min, answer_scale_max
            FROM v_events_text AS v
            LEFT JOIN touchpoints AS t ON t.name = toString(v.touchpoint)
            WHERE text != '' AND v.direction = 'in' AND NOT probe AND v.kind != 'probe' AND NOT second_hand AND NOT non_human
        ) AS e
        INNER JOIN
        (
            SELECT alarm_id, step.4 AS first, step.5 AS last, day, channel,
                m.kind AS metric_kind, m.question AS question, m.question_version AS question_version, m.scale_min AS scale_min, m.scale_max AS scale_max,
                m.box AS box, m.good AS good, toString(step.2) AS dimension, position(dimension, '+') AS plus,
                if(plus = 0, [dimension], [substring(dimension, 1, plus - 1), substring(dimension, plus + 1)]) AS dimensions,
                if(plus = 0, [toString(step.3)], arrayResize(JSONExtract(toString(step.3), 'Array(String)'), 2)) AS keys
            FROM
            (
                SELECT alarm_id,
                    argMaxIf((metric, dimension, key, coalesce(occurred_first, change_pane, pane), coalesce(occurred_last, pane)), (state = 'open', sequence),
                        actor IN ('judge', 'tally') AND state IN ('pending', 'open', 'flapping') AND before != state) AS step
                FROM
                (
                    SELECT *, lagInFrame(state, 1, '') OVER (PARTITION BY alarm_id ORDER BY sequence ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS before
                    FROM alarm_transitions
                )
                GROUP BY alarm_id
            ) AS o
            INNER JOIN metrics AS m ON m.name = toString(o.step.1)
            ARRAY JOIN m.channels AS channel
            ARRAY JOIN arrayMap(past -> toDate(last) - past, range(toUInt32(least(366, greatest(0, toDate(last) - toDate(first))) + 1))) AS day
        ) AS s ON toString(e.channel) = s.channel AND toDate(e.occurred_at) = s.day
        WHERE e.occurred_at >= s.first AND e.occurred_at < s.last + INTERVAL 1 MINUTE
            AND arrayAll((dimension, key) -> key != '' AND multiIf(
                dimension = '*', true,
                dimension = 'channel', key = toString(e.channel),
                dimension = 'touchpoint', key = toString(e.touchpoint),
                dimension = 'parent', key = e.parent,
                dimension = 'product', key = toString(e.product),
                startsWith(dimension, 'attr.'), key = e.attributes[substring(dimension, 6)],
                false), s.dimensions, s.keys)
    )
    GROUP BY alarm_id
) AS f ON f.alarm_id = a.alarm_id
COMMENT 'Of each alarm the events whose texts show what it is about: ids only';
