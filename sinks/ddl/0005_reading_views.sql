-- Readings and alarms for analysts and operations.

CREATE VIEW IF NOT EXISTS v_readings_latest
(
    metric LowCardinality(String) COMMENT 'Metric by its name in the catalogue',
    metric_version LowCardinality(String) COMMENT 'Metric identity: name@hash of its definition',
    dimension LowCardinality(String) COMMENT '*, channel or touchpoint',
    key LowCardinality(String) COMMENT 'Key in that dimension; * for all',
    window LowCardinality(String) COMMENT 'Trailing window: 1h, 24h, 7d or 28d',
    window_end DateTime64(3, 'UTC') COMMENT 'End of the window, not included',
    as_of DateTime64(3, 'UTC') COMMENT 'Arrived time up to which it was known',
    revision UInt32 COMMENT 'Number of the row for this window end, from 0',
    status LowCardinality(String) COMMENT 'provisional, final or revised',
    quality LowCardinality(String) COMMENT 'ok, no_data, low_n or withheld',
    n Int64 COMMENT 'Answers, or events exposed, in the window',
    value Nullable(Float64) COMMENT 'Value: shares 0..1, NPS -100..100, means on their scale; NULL without data',
    lo Nullable(Float64) COMMENT 'Lower bound of the interval',
    hi Nullable(Float64) COMMENT 'Upper bound of the interval',
    level Float64 COMMENT 'Level of the interval',
    method LowCardinality(String) COMMENT 'How the interval was made: wilson, adjusted_wald, t, poisson_exact',
    bins Map(String, Int64) COMMENT 'Counts by scale point, or 1 and 0 for events',
    catalogue_hash LowCardinality(String) COMMENT 'Catalogue by which it was judged',
    seq UInt64 COMMENT 'Sequence number of the output of the judge'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    metric,
    metric_version,
    dimension,
    key,
    window,
    window_end,
    tupleElement(last, 1) AS as_of,
    tupleElement(last, 2) AS revision,
    tupleElement(last, 3) AS status,
    tupleElement(last, 4) AS quality,
    tupleElement(last, 5) AS n,
    tupleElement(last, 6) AS value,
    tupleElement(last, 7) AS lo,
    tupleElement(last, 8) AS hi,
    tupleElement(last, 9) AS level,
    tupleElement(last, 10) AS method,
    tupleElement(last, 11) AS bins,
    tupleElement(last, 12) AS catalogue_hash,
    tupleElement(last, 13) AS seq
FROM
(
    SELECT metric, metric_version, dimension, key, window, window_end,
        argMax((as_of, revision, status, quality, n, value, lo, hi, level, method, bins, catalogue_hash, seq), (revision, as_of)) AS last
    FROM readings
    GROUP BY metric, metric_version, dimension, key, window, window_end
)
COMMENT 'Of each metric, key and window end the last revision';

CREATE VIEW IF NOT EXISTS v_readings_as_known_at
(
    metric LowCardinality(String) COMMENT 'Metric by its name in the catalogue',
    metric_version LowCardinality(String) COMMENT 'Metric identity: name@hash of its definition',
    dimension LowCardinality(String) COMMENT '*, channel or touchpoint',
    key LowCardinality(String) COMMENT 'Key in that dimension; * for all',
    window LowCardinality(String) COMMENT 'Trailing window: 1h, 24h, 7d or 28d',
    window_end DateTime64(3, 'UTC') COMMENT 'End of the window, not included',
    as_of DateTime64(3, 'UTC') COMMENT 'Arrived time up to which it was known',
    revision UInt32 COMMENT 'Number of the row for this window end, from 0',
    status LowCardinality(String) COMMENT 'provisional, final or revised',
    quality LowCardinality(String) COMMENT 'ok, no_data, low_n or withheld',
    n Int64 COMMENT 'Answers, or events exposed, in the window',
    value Nullable(Float64) COMMENT 'Value: shares 0..1, NPS -100..100, means on their scale; NULL without data',
    lo Nullable(Float64) COMMENT 'Lower bound of the interval',
    hi Nullable(Float64) COMMENT 'Upper bound of the interval',
    level Float64 COMMENT 'Level of the interval',
    method LowCardinality(String) COMMENT 'How the interval was made: wilson, adjusted_wald, t, poisson_exact',
    bins Map(String, Int64) COMMENT 'Counts by scale point, or 1 and 0 for events',
    catalogue_hash LowCardinality(String) COMMENT 'Catalogue by which it was judged',
    seq UInt64 COMMENT 'Sequence number of the output of the judge'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    metric,
    metric_version,
    dimension,
    key,
    window,
    window_end,
    tupleElement(last, 1) AS as_of,
    tupleElement(last, 2) AS revision,
    tupleElement(last, 3) AS status,
    tupleElement(last, 4) AS quality,
    tupleElement(last, 5) AS n,
    tupleElement(last, 6) AS value,
    tupleElement(last, 7) AS lo,
    tupleElement(last, 8) AS hi,
    tupleElement(last, 9) AS level,
    tupleElement(last, 10) AS method,
    tupleElement(last, 11) AS bins,
    tupleElement(last, 12) AS catalogue_hash,
    tupleElement(last, 13) AS seq
FROM
(
    SELECT metric, metric_version, dimension, key, window, window_end,
        argMax((as_of, revision, status, quality, n, value, lo, hi, level, method, bins, catalogue_hash, seq), (revision, as_of)) AS last
    FROM readings
    WHERE as_of <= {T:DateTime64(3)}
    GROUP BY metric, metric_version, dimension, key, window, window_end
)
COMMENT 'What v_readings_latest would have shown at time T (UTC): select from v_readings_as_known_at(T = ...)';

CREATE VIEW IF NOT EXISTS v_alarm_history
(
    transition_id String COMMENT 'Hash of alarm and sequence',
    alarm_id String COMMENT 'Hash of rule, definition, key, direction and first pane; of the event for a dispute',
    sequence UInt32 COMMENT 'Number of the transition of this alarm, from 1',
    rule LowCardinality(String) COMMENT 'Alarm rule in the catalogue',
    definition_hash LowCardinality(String) COMMENT 'Hash of its definition',
    metric LowCardinality(String) COMMENT 'Metric that it watches; empty: none',
    dimension LowCardinality(String) COMMENT 'Dimension of the key',
    key LowCardinality(String) COMMENT 'Key that the alarm is about',
    direction LowCardinality(String) COMMENT 'Direction of the change',
    severity LowCardinality(String) COMMENT 'Severity by the catalogue',
    state LowCardinality(String) COMMENT 'open or resolved',
    pane DateTime64(3, 'UTC') COMMENT 'Arrived time of the transition',
    first_pane DateTime64(3, 'UTC') COMMENT 'Arrived time of the opening',
    statistic Nullable(Float64) COMMENT 'R: the alarm opens at 1',
    weight Nullable(Float64) COMMENT 'w: budget of false alarms per pane and key',
    p0 Nullable(Float64) COMMENT 'Bad share of the baseline (upper confidence bound)',
    p1 Nullable(Float64) COMMENT 'Bad share worth detecting',
    n Int64 COMMENT 'Answers since the statistic started',
    bad Int64 COMMENT 'Bad ones among them',
    change_pane Nullable(DateTime64(3, 'UTC')) COMMENT 'Estimated begin of the change',
    occurred_first Nullable(DateTime64(3, 'UTC')) COMMENT 'First occurred time of the evidence',
    occurred_last Nullable(DateTime64(3, 'UTC')) COMMENT 'Last occurred time of the evidence',
    event_id String COMMENT 'Event of a dispute; empty: none',
    actor LowCardinality(String) COMMENT 'Who caused the transition',
    note String COMMENT 'Note of the operator',
    evidence String COMMENT 'JSON: strata with n, bad, p0 and p1',
    seq UInt64 COMMENT 'Sequence number of the output of the judge; 0 for a dispute that opens'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    transition_id, alarm_id, sequence, rule, definition_hash, metric, dimension, key, direction, severity, state, pane, first_pane, statistic, weight, p0, p1, n, bad, change_pane, occurred_first, occurred_last, event_id, actor, note, evidence, seq
FROM alarm_transitions
COMMENT 'Every transition of every alarm';

CREATE VIEW IF NOT EXISTS v_alarms_open
(
    transition_id String COMMENT 'Hash of alarm and sequence',
    alarm_id String COMMENT 'Hash of rule, definition, key, direction and first pane; of the event for a dispute',
    sequence UInt32 COMMENT 'Number of the transition of this alarm, from 1',
    rule LowCardinality(String) COMMENT 'Alarm rule in the catalogue',
    definition_hash LowCardinality(String) COMMENT 'Hash of its definition',
    metric LowCardinality(String) COMMENT 'Metric that it watches; empty: none',
    dimension LowCardinality(String) COMMENT 'Dimension of the key',
    key LowCardinality(String) COMMENT 'Key that the alarm is about',
    direction LowCardinality(String) COMMENT 'Direction of the change',
    severity LowCardinality(String) COMMENT 'Severity by the catalogue',
    state LowCardinality(String) COMMENT 'open or resolved',
    pane DateTime64(3, 'UTC') COMMENT 'Arrived time of the transition',
    first_pane DateTime64(3, 'UTC') COMMENT 'Arrived time of the opening',
    statistic Nullable(Float64) COMMENT 'R: the alarm opens at 1',
    weight Nullable(Float64) COMMENT 'w: budget of false alarms per pane and key',
    p0 Nullable(Float64) COMMENT 'Bad share of the baseline (upper confidence bound)',
    p1 Nullable(Float64) COMMENT 'Bad share worth detecting',
    n Int64 COMMENT 'Answers since the statistic started',
    bad Int64 COMMENT 'Bad ones among them',
    change_pane Nullable(DateTime64(3, 'UTC')) COMMENT 'Estimated begin of the change',
    occurred_first Nullable(DateTime64(3, 'UTC')) COMMENT 'First occurred time of the evidence',
    occurred_last Nullable(DateTime64(3, 'UTC')) COMMENT 'Last occurred time of the evidence',
    event_id String COMMENT 'Event of a dispute; empty: none',
    actor LowCardinality(String) COMMENT 'Who caused the transition',
    note String COMMENT 'Note of the operator',
    evidence String COMMENT 'JSON: strata with n, bad, p0 and p1',
    seq UInt64 COMMENT 'Sequence number of the output of the judge; 0 for a dispute that opens'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    transition_id, alarm_id, sequence, rule, definition_hash, metric, dimension, key, direction, severity, state, pane, first_pane, statistic, weight, p0, p1, n, bad, change_pane, occurred_first, occurred_last, event_id, actor, note, evidence, seq
FROM
(
    SELECT transition_id, alarm_id, sequence, rule, definition_hash, metric, dimension, key, direction, severity, state, pane, first_pane, statistic, weight, p0, p1, n, bad, change_pane, occurred_first, occurred_last, event_id, actor, note, evidence, seq
    FROM alarm_transitions
    ORDER BY alarm_id, sequence DESC
    LIMIT 1 BY alarm_id
)
WHERE state = 'open'
COMMENT 'Alarms that are open, with their last transition';
