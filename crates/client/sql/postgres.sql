-- The outbox, for PostgreSQL.
--
-- Rows are made by `outbox::Intent`, whose fields are the columns, and sent by
-- `outbox::Relay` over an implementation of `outbox::Intents` that runs the
-- statements below.
CREATE TABLE IF NOT EXISTS aloud_outbox (
    seq     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    act     text   NOT NULL CHECK (act IN ('push', 'cancel')),
    job_id  text,
    queue   text   NOT NULL,
    key     text,
    body    text,
    written bigint NOT NULL,
    boot    text   NOT NULL,
    mono    bigint NOT NULL
);

CREATE TABLE IF NOT EXISTS aloud_outbox_aside (
    seq     bigint PRIMARY KEY,
    act     text   NOT NULL,
    job_id  text,
    queue   text   NOT NULL,
    key     text,
    body    text,
    written bigint NOT NULL,
    boot    text   NOT NULL,
    mono    bigint NOT NULL,
    why     text   NOT NULL
);

-- Write, inside the application's own transaction. `seq` is given at the
-- insert and not at the commit: lock or update the application's own row first,
-- so that two transactions about one key take their numbers in the order in
-- which they commit.
--
--   INSERT INTO aloud_outbox (act, job_id, queue, key, body, written, boot, mono)
--   VALUES ($1, $2, $3, $4, $5, $6, $7, $8);
--
-- Wake a relay in another process (it listens on a connection of its own):
--
--   NOTIFY aloud_outbox;
--
-- `Intents::acquire`: only one relay at a time. The lock is the session's: use
-- one connection for as long as the relay runs, and no pooler that shares it
-- between transactions.
--
--   SELECT pg_try_advisory_lock(hashtext('aloud_outbox'));
--
-- `Intents::next`:
--
--   SELECT seq, act, job_id, queue, key, body, written, boot, mono
--   FROM aloud_outbox ORDER BY seq LIMIT $1;
--
-- `Intents::settle`:
--
--   DELETE FROM aloud_outbox WHERE seq = ANY($1);
--
-- `Intents::set_aside`, one statement:
--
--   WITH gone AS (DELETE FROM aloud_outbox WHERE seq = $1 RETURNING *)
--   INSERT INTO aloud_outbox_aside SELECT *, $2 FROM gone;
--
-- `Intents::counts`:
--
--   SELECT (SELECT count(*) FROM aloud_outbox), (SELECT count(*) FROM aloud_outbox_aside);
--
-- A person sends again what was set aside, after mending what was wrong:
--
--   WITH gone AS (DELETE FROM aloud_outbox_aside WHERE seq = $1 RETURNING *)
--   INSERT INTO aloud_outbox (act, job_id, queue, key, body, written, boot, mono)
--   SELECT act, job_id, queue, key, body, written, boot, mono FROM gone;
