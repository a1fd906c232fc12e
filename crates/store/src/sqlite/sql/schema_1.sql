-- Schema 1: the first.
--
-- A job is one row of `jobs`, `dead` or `ended`, keyed by its integer, and one
-- of `payloads` for as long as it is kept: what it carries is written once and
-- stays where it is while the job itself moves. A job that runs has a row of
-- `leases` besides. Times are microseconds; `x_mono` is set where the monotonic
-- clock decides, and `x` then only tells.

-- Who this store is, and which clock it was last used with. One row.
CREATE TABLE store (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    id      TEXT    NOT NULL,   -- 32 digits of 0-9 and a-f
    app     TEXT    NOT NULL,
    created INTEGER NOT NULL,
    boot    TEXT,               -- which boot of the machine it was; NULL: nothing remembered
    offset  INTEGER             -- what was added to the machine's monotonic clock
) STRICT;

-- Everything that is counted along, written with every commit. One row.
CREATE TABLE counters (
    one         INTEGER PRIMARY KEY CHECK (one = 1),
    last_id     INTEGER NOT NULL,   -- the last id that was given; none is given twice
    pushed      INTEGER NOT NULL,
    waiting     INTEGER NOT NULL,
    running     INTEGER NOT NULL,
    dead        INTEGER NOT NULL,
    done        INTEGER NOT NULL,
    skipped     INTEGER NOT NULL,
    cancelled   INTEGER NOT NULL,
    superseded  INTEGER NOT NULL,
    expired     INTEGER NOT NULL,
    discarded   INTEGER NOT NULL,
    kept        INTEGER NOT NULL,   -- rows of `ended`
    newest_wall INTEGER,            -- the newest times of any call that wrote; NULL: there was none
    newest_mono INTEGER
) STRICT;

-- Every queue that a job was ever pushed to, or that is held.
CREATE TABLE queues (
    number            INTEGER PRIMARY KEY,
    name              TEXT    NOT NULL UNIQUE,
    pushed            INTEGER NOT NULL,     -- 1 once a job was pushed to it
    paused_by         TEXT,                 -- NULL: not held
    paused_reason     TEXT,
    paused_since      INTEGER,
    paused_until      INTEGER,
    paused_until_mono INTEGER
) STRICT;

-- Jobs that wait or run. No second index: what is asked of it otherwise is
-- answered from memory.
CREATE TABLE jobs (
    id           INTEGER PRIMARY KEY,
    queue        INTEGER NOT NULL,
    priority     INTEGER NOT NULL,
    due          INTEGER NOT NULL,
    due_mono     INTEGER,
    ask_at       INTEGER,
    ask_at_mono  INTEGER,
    expires      INTEGER,
    expires_mono INTEGER,
    attempt      INTEGER NOT NULL,          -- how often it was started before the run that a lease is for
    failures     INTEGER NOT NULL,
    rescues      INTEGER NOT NULL,
    snoozes      INTEGER NOT NULL,
    pushed       INTEGER NOT NULL,
    kind         TEXT    NOT NULL,
    key          TEXT,
    client_id    TEXT,
    guard        TEXT,                      -- http:ADDRESS or exec:NAME
    retry        TEXT,                      -- [attempts, first, cap]; NULL: [20, 10 s, 6 h]
    history      TEXT                       -- NULL: never started
) STRICT;

-- The right to run one attempt of a job, while it runs.
CREATE TABLE leases (
    id         INTEGER PRIMARY KEY,
    lease      INTEGER NOT NULL,
    until      INTEGER NOT NULL,
    until_mono INTEGER,
    worker     TEXT    NOT NULL,
    started    INTEGER NOT NULL
) STRICT;

-- What a job carries, from its push until it is removed.
CREATE TABLE payloads (
    id      INTEGER PRIMARY KEY,
    payload BLOB NOT NULL
) STRICT;

-- Jobs that rest.
CREATE TABLE dead (
    id           INTEGER PRIMARY KEY,
    queue        INTEGER NOT NULL,
    since        INTEGER NOT NULL,
    cause        INTEGER NOT NULL,          -- its place in the list of causes
    priority     INTEGER NOT NULL,
    expires      INTEGER,
    expires_mono INTEGER,
    attempt      INTEGER NOT NULL,
    failures     INTEGER NOT NULL,
    rescues      INTEGER NOT NULL,
    snoozes      INTEGER NOT NULL,
    pushed       INTEGER NOT NULL,
    kind         TEXT    NOT NULL,
    error        TEXT    NOT NULL,          -- the class of its last error, or nothing
    key          TEXT,
    client_id    TEXT,
    guard        TEXT,
    retry        TEXT,
    history      TEXT
) STRICT;
CREATE INDEX dead_by_error ON dead (kind, error, queue);
CREATE INDEX dead_by_client_id ON dead (client_id) WHERE client_id IS NOT NULL;

-- Jobs that are over.
CREATE TABLE ended (
    id           INTEGER PRIMARY KEY,
    queue        INTEGER NOT NULL,
    at           INTEGER NOT NULL,
    outcome      INTEGER NOT NULL,          -- its place in the list of outcomes
    detail       TEXT,
    priority     INTEGER NOT NULL,
    expires      INTEGER,
    expires_mono INTEGER,
    attempt      INTEGER NOT NULL,
    failures     INTEGER NOT NULL,
    rescues      INTEGER NOT NULL,
    snoozes      INTEGER NOT NULL,
    pushed       INTEGER NOT NULL,
    kind         TEXT    NOT NULL,
    key          TEXT,
    client_id    TEXT,
    guard        TEXT,
    retry        TEXT,
    history      TEXT
) STRICT;
CREATE INDEX ended_by_client_id ON ended (client_id) WHERE client_id IS NOT NULL;

-- When the oldest end in each block of 4,096 ids was, or earlier: where to look
-- for ended jobs that are kept no longer.
CREATE TABLE ended_blocks (
    block  INTEGER PRIMARY KEY,
    oldest INTEGER NOT NULL
) STRICT;

INSERT INTO counters VALUES (1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, NULL);
