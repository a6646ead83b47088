"""The lines of the ledger: what a writer says became of a stretch of offsets of one partition, of one hour of arrived time."""

import msgspec

SINK, TALLY, GATEWAY, GATE = "sink", "tally", "gateway", "gate"


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What `writer` says about the offsets [first_offset, next_offset) of one partition; `hour`: its begin in ms.

    `events`: records that stand as rows; of a gateway the records acknowledged to it, which is at most what stands there; of
    the gate those that it admitted, or, of corrections, decided.
    `squares`: the sum of the squares of the offsets of events and undecodable records, modulo 2^64. `incarnation` and `seq`
    name the run of a process and the number of the line in it, where the line does not follow from the log alone.
    """

    writer: str
    source_topic: str
    source_topic_id: str
    source_partition: int
    hour: int
    first_offset: int
    next_offset: int
    events: int
    repeats: int = 0
    undecodable: int = 0
    ticks: int = 0
    holes: int = 0
    squares: int = 0
    incarnation: str = ""
    seq: int = 0
