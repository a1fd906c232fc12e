-- The outbox, for SQLite. `outbox::create_table` runs this file.
--
-- The application inserts into `aloud_outbox` inside the transaction that
-- changes its own data; a relay sends the rows in the order of `seq`, deletes
-- each when aloud has answered, and moves the ones that aloud refuses for good
-- to `aloud_outbox_aside`, with the reason.
--
-- AUTOINCREMENT, so that a number is never given twice: a relay deletes by it.
CREATE TABLE IF NOT EXISTS aloud_outbox (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    act     TEXT    NOT NULL CHECK (act IN ('push', 'cancel')),
    job_id  TEXT,                 -- of a push: drawn when the row is written
    queue   TEXT    NOT NULL,
    key     TEXT,                 -- of a cancel: always
    body    TEXT,                 -- of a push: the JSON of POST /v1/jobs
    written INTEGER NOT NULL,     -- when: microseconds since 1970, wall clock
    boot    TEXT    NOT NULL,     -- in which boot of the machine
    mono    INTEGER NOT NULL      -- when: microseconds on its monotonic clock
) STRICT;

CREATE TABLE IF NOT EXISTS aloud_outbox_aside (
    seq     INTEGER PRIMARY KEY,
    act     TEXT    NOT NULL,
    job_id  TEXT,
    queue   TEXT    NOT NULL,
    key     TEXT,
    body    TEXT,
    written INTEGER NOT NULL,
    boot    TEXT    NOT NULL,
    mono    INTEGER NOT NULL,
    why     TEXT    NOT NULL      -- what aloud said
) STRICT;
