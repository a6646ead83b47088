-- Copies of the catalogue for the views; `migrate` replaces their content each time.
CREATE TABLE IF NOT EXISTS touchpoints
(
    name String COMMENT 'Name as it stands in events',
    title String COMMENT 'Name for people',
    parent String COMMENT 'Touchpoint above it; empty: none',
    time_zone String COMMENT 'IANA time zone of its calendar days',
    opens String COMMENT 'Opening time; empty: not stated',
    closes String COMMENT 'Closing time; empty: not stated',
    owner String COMMENT 'Who answers for it; empty: nobody'
)
ENGINE = MergeTree ORDER BY name
COMMENT 'Touchpoints of the catalogue';

CREATE TABLE IF NOT EXISTS metrics
(
    name String COMMENT 'Name in the catalogue',
    identity String COMMENT 'name@hash of the definition',
    title String COMMENT 'Meaning for people',
    owner String COMMENT 'Who answers for it',
    kind String COMMENT 'share, nps, mean, event_share or count',
    question String COMMENT 'Question that it reads; empty: it counts events',
    scale_min Int32 COMMENT 'Lowest point of the scale',
    scale_max Int32 COMMENT 'Highest point of the scale',
    box Array(Int32) COMMENT 'Scale points that count as good',
    channels Array(String) COMMENT 'Channels that count',
    n_min UInt32 COMMENT 'Fewer answers than this are low_n',
    level Float64 COMMENT 'Level of its intervals',
    z Float64 COMMENT 'Normal quantile of that level, two-sided',
    target Nullable(Float64) COMMENT 'Target'
)
ENGINE = MergeTree ORDER BY name
COMMENT 'Metrics of the catalogue';
