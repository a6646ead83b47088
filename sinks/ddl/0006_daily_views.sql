-- Calendar days in the time zone of the touchpoint (UTC for events without one). Which answers count is the catalogue's word:
-- of each event the first answer to the metric's question on its scale, an integer, by a customer at first hand.
CREATE VIEW IF NOT EXISTS v_csat_daily
(
    day Date COMMENT 'Calendar day on which the feedback was given, in the time zone of the touchpoint',
    touchpoint String COMMENT 'Touchpoint; empty: events without one, by UTC days',
    n UInt64 COMMENT 'Answers',
    satisfied UInt64 COMMENT 'Answers in the box of the catalogue (4 or 5 on 1..5)',
    value Float64 COMMENT 'Share of satisfied answers, 0..1',
    lo Float64 COMMENT 'Lower bound of the Wilson interval',
    hi Float64 COMMENT 'Upper bound of the Wilson interval',
    level Float64 COMMENT 'Level of the interval'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    day, touchpoint, n, satisfied, share AS value,
    if(satisfied = 0, 0., greatest(0., (share + z * z / (2 * n)) / (1 + z * z / n)
        - z / (1 + z * z / n) * sqrt(share * (1 - share) / n + z * z / (4. * n * n)))) AS lo,
    if(satisfied = n, 1., least(1., (share + z * z / (2 * n)) / (1 + z * z / n)
        + z / (1 + z * z / n) * sqrt(share * (1 - share) / n + z * z / (4. * n * n)))) AS hi,
    level
FROM
(
    SELECT day, touchpoint, count() AS n, countIf(has(box, toInt32(score))) AS satisfied, satisfied / n AS share,
        any(z) AS z, any(level) AS level
    FROM
    (
        SELECT
            toDate(formatDateTime(e.occurred_at, '%F', if(t.time_zone = '', 'UTC', t.time_zone))) AS day,
            toString(e.touchpoint) AS touchpoint, m.box AS box, m.z AS z, m.level AS level,
            m.scale_min AS lowest, m.scale_max AS highest,
            arrayFirstIndex((q, a, b) -> q = m.question AND a = m.scale_min AND b = m.scale_max,
                e.answer_question, e.answer_scale_min, e.answer_scale_max) AS at,
            e.answer_score[at] AS score
        FROM feedback_events AS e
        CROSS JOIN (SELECT * FROM metrics WHERE name = 'csat') AS m
        LEFT JOIN touchpoints AS t ON t.name = toString(e.touchpoint)
        WHERE NOT e.probe AND e.kind != 'probe' AND NOT e.second_hand AND NOT e.non_human AND has(m.channels, e.channel)
    )
    WHERE at > 0 AND score = floor(score) AND score BETWEEN lowest AND highest
    GROUP BY day, touchpoint
)
COMMENT 'Customer satisfaction by day and touchpoint';

CREATE VIEW IF NOT EXISTS v_nps_daily
(
    day Date COMMENT 'Calendar day on which the feedback was given, in the time zone of the touchpoint',
    touchpoint String COMMENT 'Touchpoint; empty: events without one, by UTC days',
    n UInt64 COMMENT 'Answers',
    promoters UInt64 COMMENT 'Answers 9 or 10',
    detractors UInt64 COMMENT 'Answers 0 to 6',
    value Float64 COMMENT 'Net promoter score: promoters minus detractors, -100..100',
    lo Float64 COMMENT 'Lower bound of the adjusted Wald interval',
    hi Float64 COMMENT 'Upper bound of the adjusted Wald interval',
    level Float64 COMMENT 'Level of the interval'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    day, touchpoint, n, promoters, detractors, 100 * (toFloat64(promoters) - toFloat64(detractors)) / n AS value,
    100 * greatest(-1., up - down - z * sqrt((up + down - (up - down) * (up - down)) / (n + 3))) AS lo,
    100 * least(1., up - down + z * sqrt((up + down - (up - down) * (up - down)) / (n + 3))) AS hi,
    level
FROM
(
    SELECT day, touchpoint, count() AS n, countIf(score >= 9) AS promoters, countIf(score <= 6) AS detractors,
        (promoters + 0.75) / (n + 3) AS up, (detractors + 0.75) / (n + 3) AS down, any(z) AS z, any(level) AS level
    FROM
    (
        SELECT
            toDate(formatDateTime(e.occurred_at, '%F', if(t.time_zone = '', 'UTC', t.time_zone))) AS day,
            toString(e.touchpoint) AS touchpoint, m.z AS z, m.level AS level,
            arrayFirstIndex((q, a, b) -> q = m.question AND a = m.scale_min AND b = m.scale_max,
                e.answer_question, e.answer_scale_min, e.answer_scale_max) AS at,
            e.answer_score[at] AS score
        FROM feedback_events AS e
        CROSS JOIN (SELECT * FROM metrics WHERE name = 'nps') AS m
        LEFT JOIN touchpoints AS t ON t.name = toString(e.touchpoint)
        WHERE NOT e.probe AND e.kind != 'probe' AND NOT e.second_hand AND NOT e.non_human AND has(m.channels, e.channel)
    )
    WHERE at > 0 AND score = floor(score) AND score BETWEEN 0 AND 10
    GROUP BY day, touchpoint
)
COMMENT 'Net promoter score by day and touchpoint';

CREATE VIEW IF NOT EXISTS v_channel_volume
(
    day Date COMMENT 'UTC day on which the feedback was given',
    channel String COMMENT 'Channel',
    events UInt64 COMMENT 'Events, probes left out',
    live UInt64 COMMENT 'Those that came live',
    history UInt64 COMMENT 'Those that came by the history lane',
    answered UInt64 COMMENT 'Those with at least one answer',
    complaints UInt64 COMMENT 'Complaints, letters and disputes'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    toDate(occurred_at) AS day, toString(feedback_events.channel) AS channel, count() AS events, countIf(lane = 'live') AS live,
    countIf(lane = 'history') AS history, countIf(notEmpty(answer_score)) AS answered,
    countIf(kind IN ('complaint', 'letter', 'dispute')) AS complaints
FROM feedback_events
WHERE NOT probe AND kind != 'probe'
GROUP BY day, channel
COMMENT 'Events by day and channel';
