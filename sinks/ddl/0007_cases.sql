-- Cases: what follows from several events of one customer. Views, not a process: feedback_events holds every accepted event once,
-- and arrived_at says when it was known. Events that came late, were corrected or taken back change the answer by themselves.
-- v_standing_as_known_at and v_csat_answers hold pseudonyms; they are building blocks that no reader is granted.

CREATE VIEW IF NOT EXISTS v_standing_as_known_at
(
    event_id String COMMENT 'UUID of the event',
    channel LowCardinality(String) COMMENT 'card, email, call, web or order',
    kind LowCardinality(String) COMMENT 'rating, comment, complaint, dispute, order_placed, ...',
    subject String COMMENT 'Keyed pseudonym of the customer; empty: none',
    conversation_ref String COMMENT 'Conversation that the event belongs to; empty: none',
    in_reply_to String COMMENT 'event_id of the message that it answers; empty: none',
    direction LowCardinality(String) COMMENT 'in: from the customer, out: to the customer',
    touchpoint LowCardinality(String) COMMENT 'Place of contact; empty: none',
    topic String COMMENT 'What it is about: the attribute topic; empty: not stated',
    page String COMMENT 'Page of the web site: the attribute page; empty: not stated',
    legal_threat Bool COMMENT 'Whether the attribute legal_threat says true',
    second_hand Bool COMMENT 'Told by somebody else',
    non_human Bool COMMENT 'Sent by a machine',
    answer_question Array(LowCardinality(String)) COMMENT 'Question of each answer; the answer_ columns are parallel',
    answer_score Array(Float64) COMMENT 'Score of each answer, on its own scale',
    answer_scale_min Array(Float64) COMMENT 'Lowest point of each scale',
    answer_scale_max Array(Float64) COMMENT 'Highest point of each scale',
    occurred_at DateTime64(3, 'UTC') COMMENT 'When it happened',
    known_until DateTime64(3, 'UTC') COMMENT 'Arrived time up to which anything is known, at most T'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    event_id, channel, kind, subject, conversation_ref, in_reply_to, direction, touchpoint,
    feedback_events.attributes['topic'] AS topic, feedback_events.attributes['page'] AS page,
    toBool(feedback_events.attributes['legal_threat'] = 'true') AS legal_threat,
    second_hand, non_human, answer_question, answer_score, answer_scale_min, answer_scale_max, occurred_at,
    (
        SELECT least({T:DateTime64(3, 'UTC')}, max(reached))
        FROM (SELECT max(arrived_at) AS reached FROM feedback_events UNION ALL SELECT max(arrived_at) FROM tallies)
    ) AS known_until
FROM feedback_events
WHERE NOT probe AND kind != 'probe' AND NOT retract AND arrived_at <= {T:DateTime64(3, 'UTC')}
    AND if(corrects = '',
        event_id NOT IN (SELECT corrects FROM feedback_events WHERE corrects != '' AND arrived_at <= {T:DateTime64(3, 'UTC')}),
        event_id IN
        (
            SELECT argMaxIf(event_id, (arrived_at, offset), NOT retract)
            FROM feedback_events
            WHERE corrects != '' AND arrived_at <= {T:DateTime64(3, 'UTC')}
            GROUP BY corrects
            HAVING countIf(retract) <= countIf(NOT retract)
        ))
COMMENT 'Events that stood at arrived time T: no probes, nothing taken back, the last correction in place of what it corrects';

CREATE VIEW IF NOT EXISTS v_web_visits
(
    started_at DateTime64(3, 'UTC') COMMENT 'First event of the visit',
    ended_at DateTime64(3, 'UTC') COMMENT 'Last event of the visit',
    duration_s Float64 COMMENT 'From the first to the last event',
    touchpoint String COMMENT 'First touchpoint that an event of the visit names; empty: none',
    events UInt64 COMMENT 'Events of the visit',
    pages UInt64 COMMENT 'Pages seen: page_view events',
    distinct_pages UInt64 COMMENT 'Distinct pages named by the attribute page',
    known_visitor Bool COMMENT 'Whether the visitor has a pseudonym; what followed is known only then',
    order_followed Bool COMMENT 'Whether the same customer ordered between the start and 24 h after the end',
    complaint_followed Bool COMMENT 'Whether the same customer complained (complaint, letter, dispute) in that time'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    v.started_at AS started_at, v.ended_at AS ended_at, (toUnixTimestamp64Milli(v.ended_at) - toUnixTimestamp64Milli(v.started_at)) / 1000 AS duration_s,
    v.touchpoint AS touchpoint, v.events AS events, v.pages AS pages, v.distinct_pages AS distinct_pages, toBool(v.subject != '') AS known_visitor,
    toBool(arrayExists(t -> t >= v.started_at AND t <= v.ended_at + INTERVAL 24 HOUR, f.orders)) AS order_followed,
    toBool(arrayExists(t -> t >= v.started_at AND t <= v.ended_at + INTERVAL 24 HOUR, f.complaints)) AS complaint_followed
FROM
(
    SELECT visitor, visit, any(who) AS subject, min(at) AS started_at, max(at) AS ended_at, count() AS events,
        argMinIf(place, (at, event_id), place != '') AS touchpoint, countIf(what = 'page_view') AS pages,
        uniqExactIf(page, page != '') AS distinct_pages
    FROM
    (
        SELECT *, sum(starts) OVER (PARTITION BY visitor ORDER BY at, event_id ROWS UNBOUNDED PRECEDING) AS visit
        FROM
        (
            SELECT visitor, who, at, event_id, place, what, page,
                at >= lagInFrame(at, 1, at) OVER (PARTITION BY visitor ORDER BY at, event_id
                    ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) + INTERVAL 30 MINUTE AS starts
            FROM
            (
                SELECT multiIf(subject != '', ('s', subject), conversation_ref != '', ('c', conversation_ref), ('e', event_id)) AS visitor,
                    subject AS who, occurred_at AS at, event_id, toString(touchpoint) AS place, kind AS what, page
                FROM v_standing_as_known_at(T = toDateTime64('2299-01-01 00:00:00', 3, 'UTC'))
                WHERE channel = 'web' AND direction = 'in' AND NOT non_human
            )
        )
    )
    GROUP BY visitor, visit
) AS v
LEFT JOIN
(
    SELECT subject, groupArrayIf(occurred_at, kind = 'order_placed') AS orders, groupArrayIf(occurred_at, kind != 'order_placed') AS complaints
    FROM v_standing_as_known_at(T = toDateTime64('2299-01-01 00:00:00', 3, 'UTC'))
    WHERE subject != '' AND direction = 'in' AND kind IN ('order_placed', 'complaint', 'letter', 'dispute')
    GROUP BY subject
) AS f ON f.subject = v.subject
COMMENT 'Visits to the web site: events of one visitor (pseudonym, else conversation, else the event alone) with gaps below 30 minutes';

CREATE VIEW IF NOT EXISTS v_escalation_customers_as_known_at
(
    customer String COMMENT 'Keyed pseudonym of the customer',
    topic String COMMENT 'What it is about; empty: not stated, all such events of a customer are one topic',
    case_no UInt64 COMMENT 'Number of the case of this customer and topic, from 1',
    touchpoint String COMMENT 'Touchpoint of the first event; empty: none',
    events UInt64 COMMENT 'Remarks, complaints, letters and disputes of the case',
    recurrences UInt64 COMMENT 'Those that came again within 90 days of the one before',
    remark_at Nullable(DateTime64(3, 'UTC')) COMMENT 'First remark',
    complaint_at Nullable(DateTime64(3, 'UTC')) COMMENT 'First complaint or letter',
    dispute_at Nullable(DateTime64(3, 'UTC')) COMMENT 'First dispute',
    first_at DateTime64(3, 'UTC') COMMENT 'First event of the case',
    last_at DateTime64(3, 'UTC') COMMENT 'Last event of the case so far',
    last_rung LowCardinality(String) COMMENT 'Highest rung reached: remark, complaint or dispute',
    lead_s Nullable(Float64) COMMENT 'From the first event to the first dispute, in s; NULL without a dispute',
    legal_threat Bool COMMENT 'Whether an event of the case threatens with the law; no rung of its own',
    known_until DateTime64(3, 'UTC') COMMENT 'Arrived time up to which anything is known'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    subject AS customer, topic, case_no, argMin(place, (at, event_id)) AS touchpoint, count() AS events, events - 1 AS recurrences,
    minOrNullIf(at, rung = 1) AS remark_at, minOrNullIf(at, rung = 2) AS complaint_at, minOrNullIf(at, rung = 3) AS dispute_at,
    min(at) AS first_at, max(at) AS last_at, arrayElement(['remark', 'complaint', 'dispute'], max(rung)) AS last_rung,
    if(max(rung) = 3, (toUnixTimestamp64Milli(assumeNotNull(minOrNullIf(at, rung = 3))) - toUnixTimestamp64Milli(min(at))) / 1000, NULL) AS lead_s,
    toBool(max(threat)) AS legal_threat, any(until) AS known_until
FROM
(
    SELECT *, 1 + sum(starts) OVER (PARTITION BY subject, topic ORDER BY at, event_id ROWS UNBOUNDED PRECEDING) AS case_no
    FROM
    (
        SELECT subject, topic, event_id, at, place, rung, threat, until,
            at > lagInFrame(at, 1, at) OVER (PARTITION BY subject, topic ORDER BY at, event_id
                ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) + INTERVAL 90 DAY AS starts
        FROM
        (
            SELECT subject, topic, event_id, occurred_at AS at, toString(touchpoint) AS place, legal_threat AS threat, known_until AS until,
                multiIf(kind = 'remark', 1, kind = 'dispute', 3, 2) AS rung
            FROM v_standing_as_known_at(T = {T:DateTime64(3, 'UTC')})
            WHERE subject != '' AND direction = 'in' AND NOT non_human AND kind IN ('remark', 'complaint', 'letter', 'dispute')
        )
    )
)
GROUP BY subject, topic, case_no
COMMENT 'Escalation ladder by customer and topic as known at arrived time T; a case ends after 90 days without an event';

CREATE VIEW IF NOT EXISTS v_escalation_customers
(
    customer String COMMENT 'Keyed pseudonym of the customer',
    topic String COMMENT 'What it is about; empty: not stated, all such events of a customer are one topic',
    case_no UInt64 COMMENT 'Number of the case of this customer and topic, from 1',
    touchpoint String COMMENT 'Touchpoint of the first event; empty: none',
    events UInt64 COMMENT 'Remarks, complaints, letters and disputes of the case',
    recurrences UInt64 COMMENT 'Those that came again within 90 days of the one before',
    remark_at Nullable(DateTime64(3, 'UTC')) COMMENT 'First remark',
    complaint_at Nullable(DateTime64(3, 'UTC')) COMMENT 'First complaint or letter',
    dispute_at Nullable(DateTime64(3, 'UTC')) COMMENT 'First dispute',
    first_at DateTime64(3, 'UTC') COMMENT 'First event of the case',
    last_at DateTime64(3, 'UTC') COMMENT 'Last event of the case so far',
    last_rung LowCardinality(String) COMMENT 'Highest rung reached: remark, complaint or dispute',
    lead_s Nullable(Float64) COMMENT 'From the first event to the first dispute, in s; NULL without a dispute',
    legal_threat Bool COMMENT 'Whether an event of the case threatens with the law; no rung of its own',
    known_until DateTime64(3, 'UTC') COMMENT 'Arrived time up to which anything is known'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT customer, topic, case_no, touchpoint, events, recurrences, remark_at, complaint_at, dispute_at, first_at, last_at, last_rung, lead_s, legal_threat, known_until
FROM v_escalation_customers_as_known_at(T = toDateTime64('2299-01-01 00:00:00', 3, 'UTC'))
COMMENT 'Escalation ladder by customer and topic, with the pseudonym; for the role bi_text only';

CREATE VIEW IF NOT EXISTS v_escalation
(
    topic String COMMENT 'What it is about; empty: not stated, all such events of a customer are one topic',
    case_no UInt64 COMMENT 'Number of the case of this customer and topic, from 1',
    touchpoint String COMMENT 'Touchpoint of the first event; empty: none',
    events UInt64 COMMENT 'Remarks, complaints, letters and disputes of the case',
    recurrences UInt64 COMMENT 'Those that came again within 90 days of the one before',
    remark_at Nullable(DateTime64(3, 'UTC')) COMMENT 'First remark',
    complaint_at Nullable(DateTime64(3, 'UTC')) COMMENT 'First complaint or letter',
    dispute_at Nullable(DateTime64(3, 'UTC')) COMMENT 'First dispute',
    first_at DateTime64(3, 'UTC') COMMENT 'First event of the case',
    last_at DateTime64(3, 'UTC') COMMENT 'Last event of the case so far',
    last_rung LowCardinality(String) COMMENT 'Highest rung reached: remark, complaint or dispute',
    lead_s Nullable(Float64) COMMENT 'From the first event to the first dispute, in s; NULL without a dispute',
    legal_threat Bool COMMENT 'Whether an event of the case threatens with the law; no rung of its own',
    known_until DateTime64(3, 'UTC') COMMENT 'Arrived time up to which anything is known'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT topic, case_no, touchpoint, events, recurrences, remark_at, complaint_at, dispute_at, first_at, last_at, last_rung, lead_s, legal_threat, known_until
FROM v_escalation_customers_as_known_at(T = toDateTime64('2299-01-01 00:00:00', 3, 'UTC'))
COMMENT 'Escalation ladder: one row a case, without the customer';

CREATE VIEW IF NOT EXISTS v_escalation_steps_as_known_at
(
    from_rung LowCardinality(String) COMMENT 'Rung that was reached: remark or complaint',
    entered_at DateTime64(3, 'UTC') COMMENT 'When it was reached',
    days Float64 COMMENT 'Days to the next higher rung, or to the end of what is known of it',
    cause LowCardinality(String) COMMENT 'complaint or dispute: the next rung; censored: none so far',
    topic String COMMENT 'What it is about; empty: not stated',
    touchpoint String COMMENT 'Touchpoint of the first event of the case; empty: none'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT from_rung, entered_at, greatest(0, toUnixTimestamp64Milli(if(isNull(next_at), end_at, assumeNotNull(next_at)))
        - toUnixTimestamp64Milli(entered_at)) / 86400000 AS days,
    multiIf(isNull(next_at), 'censored', next_at = dispute_at, 'dispute', 'complaint') AS cause, topic, touchpoint
FROM
(
    SELECT arrayJoin([('remark', remark_at, least(ifNull(complaint_at, toDateTime64('2299-01-01 00:00:00', 3, 'UTC')), ifNull(dispute_at, toDateTime64('2299-01-01 00:00:00', 3, 'UTC')))),
            ('complaint', complaint_at, ifNull(dispute_at, toDateTime64('2299-01-01 00:00:00', 3, 'UTC')))]) AS step,
        tupleElement(step, 1) AS from_rung, assumeNotNull(tupleElement(step, 2)) AS entered_at,
        if(tupleElement(step, 3) = toDateTime64('2299-01-01 00:00:00', 3, 'UTC'), NULL, tupleElement(step, 3)) AS next_at,
        least(known_until, last_at + INTERVAL 90 DAY) AS end_at, dispute_at, topic, touchpoint
    FROM v_escalation_customers_as_known_at(T = {T:DateTime64(3, 'UTC')})
    WHERE isNotNull(tupleElement(step, 2)) AND tupleElement(step, 3) > tupleElement(step, 2)
)
COMMENT 'Steps of the ladder as known at arrived time T, as cumulative incidence wants them; a case is followed until 90 days after its last event';

CREATE VIEW IF NOT EXISTS v_escalation_steps
(
    from_rung LowCardinality(String) COMMENT 'Rung that was reached: remark or complaint',
    entered_at DateTime64(3, 'UTC') COMMENT 'When it was reached',
    days Float64 COMMENT 'Days to the next higher rung, or to the end of what is known of it',
    cause LowCardinality(String) COMMENT 'complaint or dispute: the next rung; censored: none so far',
    topic String COMMENT 'What it is about; empty: not stated',
    touchpoint String COMMENT 'Touchpoint of the first event of the case; empty: none'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT from_rung, entered_at, days, cause, topic, touchpoint
FROM v_escalation_steps_as_known_at(T = toDateTime64('2299-01-01 00:00:00', 3, 'UTC'))
COMMENT 'Steps of the ladder: time from one rung to the next, or for how long there was none';

CREATE VIEW IF NOT EXISTS v_repeat_contacts
(
    day Date COMMENT 'Calendar day of the contact, in the time zone of the touchpoint',
    touchpoint String COMMENT 'Touchpoint; empty: contacts without one, by UTC days',
    channel String COMMENT 'call or email',
    n UInt64 COMMENT 'Contacts of customers with a pseudonym; answers to surveys and automatic mail are none',
    repeats UInt64 COMMENT 'Those within 7 days of an earlier call or mail of the same customer on the same topic',
    value Float64 COMMENT 'Share of repeats, 0..1; first-contact resolution is 1 minus it',
    lo Float64 COMMENT 'Lower bound of the Wilson interval',
    hi Float64 COMMENT 'Upper bound of the Wilson interval',
    level Float64 COMMENT 'Level of the interval'
)
DEFINER = CURRENT_USER SQL SECURITY DEFINER
AS SELECT
    day, place AS touchpoint, by AS channel, count() AS n, countIf(again) AS repeats, repeats / n AS value,
    if(repeats = 0, 0., greatest(0., (repeats / n + 1.959963984540054 * 1.959963984540054 / (2 * n)) / (1 + 1.959963984540054 * 1.959963984540054 / n)
        - 1.959963984540054 / (1 + 1.959963984540054 * 1.959963984540054 / n) * sqrt(repeats / n * (1 - repeats / n) / n + 1.959963984540054 * 1.959963984540054 / (4. * n * n)))) AS lo,
    if(repeats = n, 1., least(1., (repeats / n + 1.959963984540054 * 1.959963984540054 / (2 * n)) / (1 + 1.959963984540054 * 1.959963984540054 / n)
        + 1.959963984540054 / (1 + 1.959963984540054 * 1.959963984540054 / n) * sqrt(repeats / n * (1 - repeats / n) / n + 1.959963984540054 * 1.959963984540054 / (4. * n * n)))) AS hi,
    0.95 AS level
FROM
(
    SELECT toDate(formatDateTime(c.at, '%F', if(t.time_zone = '', 'UTC', t.time_zone))) AS day, c.place AS place, c.by AS by, c.again AS again
    FROM
    (
        SELECT occurred_at AS at, toString(s.touchpoint) AS place, toString(s.channel) AS by,
            row_number() OVER earlier > 1 AND at <= lagInFrame(occurred_at) OVER earlier + INTERVAL 7 DAY AS again
        FROM v_standing_as_known_at(T = toDateTime64('2299-01-01 00:00:00', 3, 'UTC')) AS s
        WHERE s.subject != '' AND s.direction = 'in' AND NOT s.non_human AND s.channel IN ('call', 'email')
            AND s.kind IN ('comment', 'praise', 'suggestion', 'idea', 'remark', 'complaint', 'letter', 'dispute', 'question')
        WINDOW earlier AS (PARTITION BY s.subject, s.topic ORDER BY s.occurred_at, s.event_id
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
    ) AS c
    LEFT JOIN touchpoints AS t ON t.name = c.place
)
GROUP BY day, place, by
COMMENT 'Share of calls and mails that come back within 7 days, by day, touchpoint and channel';
