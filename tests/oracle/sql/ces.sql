-- Customer effort score: the mean on 1..7.
-- Rows: every final reading of ces that differs from a count over feedback_events; none if all agree.
-- Windows that began too long before the last arrival are left out: what came late could no longer change them.
WITH
    finals AS
    (
        SELECT dimension, key, window, window_end, n, value,
            transform(toString(window), ['1h', '24h', '7d', '28d'], [1, 24, 168, 672], 0) AS hours,
            transform(toString(window), ['1h', '24h', '7d', '28d'], [1, 24, 48, 192], 0) AS reach_hours
        FROM readings
        WHERE metric = 'ces' AND status != 'provisional'
            AND window_end >= (SELECT max(arrived_at) FROM feedback_events) + INTERVAL 10 SECOND - toIntervalHour(reach_hours)
        ORDER BY dimension, key, window, window_end, revision DESC
        LIMIT 1 BY dimension, key, window, window_end
    ),
    answers AS
    (
        SELECT occurred_at, toFloat64(answer_score[at]) AS score,
            arrayJoin([('*', '*'), ('channel', toString(channel)), ('touchpoint', toString(touchpoint))]) AS place
        FROM
        (
            SELECT *, arrayFirstIndex((question, low, high) -> question = 'ces' AND low = 1 AND high = 7,
                answer_question, answer_scale_min, answer_scale_max) AS at
            FROM feedback_events
            WHERE kind != 'probe' AND NOT probe AND NOT second_hand AND NOT non_human
        )
        WHERE at > 0
    )
SELECT dimension, key, window, window_end, n, value, counted, recounted
FROM
(
    SELECT f.dimension AS dimension, f.key AS key, f.window AS window, f.window_end AS window_end, any(f.n) AS n, any(f.value) AS value,
        countIf(a.inside) AS counted, sumIf(a.score, a.inside) / countIf(a.inside) AS recounted
    FROM finals AS f
    LEFT JOIN
    (
        SELECT finals.dimension AS dimension, finals.key AS key, finals.window AS window, finals.window_end AS window_end, score, 1 AS inside
        FROM finals
        INNER JOIN answers ON answers.place = (toString(finals.dimension), toString(finals.key))
        WHERE occurred_at < window_end AND occurred_at >= window_end - toIntervalHour(hours)
    ) AS a ON a.dimension = f.dimension AND a.key = f.key AND a.window = f.window AND a.window_end = f.window_end
    GROUP BY dimension, key, window, window_end
)
WHERE n != counted OR (counted > 0 AND (value IS NULL OR abs(value - recounted) > 1e-9)) OR (counted = 0 AND value IS NOT NULL)
ORDER BY dimension, key, window, window_end
