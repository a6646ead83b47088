-- Alarms have five states. What is not resolved is open for people; its evidence is that of the newest transition by a machine,
-- since an acknowledgement or a note adds none.

ALTER TABLE alarm_transitions COMMENT COLUMN state 'pending, open, acknowledged, flapping or resolved';

CREATE OR REPLACE VIEW v_alarm_history
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
    state LowCardinality(String) COMMENT 'pending, open, acknowledged, flapping or resolved',
    pane DateTime64(3, 'UTC') COMMENT 'Arrived time of the transition',
    first_pane DateTime64(3, 'UTC') COMMENT 'Arrived time of the first transition',
    statistic Nullable(Float64) COMMENT 'R: the alarm opens at 1',
    weight Nullable(Float64) COMMENT 'w: budget of false alarms per pane and key',
    p0 Nullable(Float64) COMMENT 'Bad share of the baseline (upper confidence bound)',
    p1 Nullable(Float64) COMMENT 'Bad share worth detecting',
    n Int64 COMMENT 'Answers since the statistic started',
    bad Int64 COMMENT 'Bad ones among them',
    change_pane Nullable(DateTime64(3, 'UTC')) COMMENT 'Estimated begin of the change',
    occurred_first Nullable(DateTime64(3, 'UTC')) COMMENT 'First occurred time of the evidence',
    occurred_last Nullable(DateTime64(3, 'UTC')) COMMENT 'Last occurred time of the evidence',
    event_id String COMMENT 'Event of an immediate alarm; empty: none',
    actor LowCardinality(String) COMMENT 'Who caused the transition',
    note String COMMENT 'Note of the operator',
    evidence String COMMENT 'JSON: what the decision rests on, by stratum',
    seq UInt64 COMMENT 'Sequence number of the output of the judge; 0 for an immediate alarm that opens'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    transition_id, alarm_id, sequence, rule, definition_hash, metric, dimension, key, direction, severity, state, pane, first_pane, statistic, weight, p0, p1, n, bad, change_pane, occurred_first, occurred_last, event_id, actor, note, evidence, seq
FROM alarm_transitions
COMMENT 'Every transition of every alarm';

CREATE OR REPLACE VIEW v_alarms_open
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
    state LowCardinality(String) COMMENT 'pending, open, acknowledged, flapping or resolved',
    pane DateTime64(3, 'UTC') COMMENT 'Arrived time of the transition',
    first_pane DateTime64(3, 'UTC') COMMENT 'Arrived time of the first transition',
    statistic Nullable(Float64) COMMENT 'R when a machine judged it last: the alarm opens at 1',
    weight Nullable(Float64) COMMENT 'w: budget of false alarms per pane and key',
    p0 Nullable(Float64) COMMENT 'Bad share of the baseline (upper confidence bound)',
    p1 Nullable(Float64) COMMENT 'Bad share worth detecting',
    n Int64 COMMENT 'Answers that the evidence rests on',
    bad Int64 COMMENT 'Bad ones among them',
    change_pane Nullable(DateTime64(3, 'UTC')) COMMENT 'Estimated begin of the change',
    occurred_first Nullable(DateTime64(3, 'UTC')) COMMENT 'First occurred time of the evidence',
    occurred_last Nullable(DateTime64(3, 'UTC')) COMMENT 'Last occurred time of the evidence',
    event_id String COMMENT 'Event of an immediate alarm; empty: none',
    actor LowCardinality(String) COMMENT 'Who caused the transition',
    note String COMMENT 'Note of the operator',
    evidence String COMMENT 'JSON: what the newest decision of a machine rests on, by stratum',
    seq UInt64 COMMENT 'Sequence number of the output of the judge; 0 for an immediate alarm that opens',
    opened_at Nullable(DateTime64(3, 'UTC')) COMMENT 'Arrived time at which it opened last; NULL while it is pending',
    acknowledged_at Nullable(DateTime64(3, 'UTC')) COMMENT 'When somebody took it on; NULL: nobody has',
    acknowledged_by String COMMENT 'Who took it on; empty: nobody',
    last_note String COMMENT 'Newest note of a person; empty: none'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    tupleElement(last, 1) AS transition_id,
    alarm_id,
    tupleElement(last, 2) AS sequence,
    tupleElement(last, 3) AS rule,
    tupleElement(last, 4) AS definition_hash,
    tupleElement(last, 5) AS metric,
    tupleElement(last, 6) AS dimension,
    tupleElement(last, 7) AS key,
    tupleElement(last, 8) AS direction,
    tupleElement(last, 9) AS severity,
    tupleElement(last, 10) AS state,
    tupleElement(last, 11) AS pane,
    tupleElement(last, 12) AS first_pane,
    tupleElement(machine, 1) AS statistic,
    tupleElement(machine, 2) AS weight,
    tupleElement(machine, 3) AS p0,
    tupleElement(machine, 4) AS p1,
    tupleElement(machine, 5) AS n,
    tupleElement(machine, 6) AS bad,
    tupleElement(machine, 7) AS change_pane,
    tupleElement(machine, 8) AS occurred_first,
    tupleElement(machine, 9) AS occurred_last,
    tupleElement(last, 13) AS event_id,
    tupleElement(last, 14) AS actor,
    tupleElement(last, 15) AS note,
    tupleElement(machine, 10) AS evidence,
    tupleElement(last, 16) AS seq,
    opened AS opened_at,
    if(state IN ('acknowledged', 'flapping'), nullIf(tupleElement(taken, 1), toDateTime64(0, 3, 'UTC')), NULL) AS acknowledged_at,
    if(acknowledged_at IS NULL, '', tupleElement(taken, 2)) AS acknowledged_by,
    newest_note AS last_note
FROM
(
    SELECT
        alarm_id,
        argMax((transition_id, sequence, rule, definition_hash, metric, dimension, key, direction, severity, state, pane, first_pane, event_id, actor, note, seq), sequence) AS last,
        argMaxIf((statistic, weight, p0, p1, n, bad, change_pane, occurred_first, occurred_last, evidence), sequence, actor IN ('judge', 'tally')) AS machine,
        nullIf(maxIf(pane, state = 'open' AND before != 'open'), toDateTime64(0, 3, 'UTC')) AS opened,
        argMaxIf((pane, actor), sequence, state = 'acknowledged' AND before != 'acknowledged') AS taken,
        argMaxIf(note, sequence, note != '' AND actor NOT IN ('judge', 'tally')) AS newest_note
    FROM
    (
        SELECT *, lagInFrame(state, 1, '') OVER (PARTITION BY alarm_id ORDER BY sequence ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS before
        FROM alarm_transitions
    )
    GROUP BY alarm_id
)
WHERE state != 'resolved'
COMMENT 'Alarms that are not resolved, with their last transition and their evidence';
