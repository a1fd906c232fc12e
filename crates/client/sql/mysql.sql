-- The outbox, for MySQL 8 and MariaDB 10.5, on InnoDB.
--
-- Rows are made by `outbox::Intent`, whose fields are the columns, and sent by
-- `outbox::Relay` over an implementation of `outbox::Intents` that runs the
-- statements below. `key` is a reserved word here and wants its backticks.
CREATE TABLE IF NOT EXISTS aloud_outbox (
    seq     BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    act     VARCHAR(10)  NOT NULL CHECK (act IN ('push', 'cancel')),
    job_id  VARCHAR(128),
    queue   VARCHAR(200) NOT NULL,
    `key`   VARCHAR(512),
    body    MEDIUMTEXT,
    written BIGINT       NOT NULL,
    boot    VARCHAR(64)  NOT NULL,
    mono    BIGINT       NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS aloud_outbox_aside (
    seq     BIGINT       NOT NULL PRIMARY KEY,
    act     VARCHAR(10)  NOT NULL,
    job_id  VARCHAR(128),
    queue   VARCHAR(200) NOT NULL,
    `key`   VARCHAR(512),
    body    MEDIUMTEXT,
    written BIGINT       NOT NULL,
    boot    VARCHAR(64)  NOT NULL,
    mono    BIGINT       NOT NULL,
    why     TEXT         NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- Write, inside the application's own transaction. `seq` is given at the
-- insert and not at the commit: lock or update the application's own row first,
-- so that two transactions about one key take their numbers in the order in
-- which they commit.
--
--   INSERT INTO aloud_outbox (act, job_id, queue, `key`, body, written, boot, mono)
--   VALUES (?, ?, ?, ?, ?, ?, ?, ?);
--
-- `Intents::acquire`: only one relay at a time. The lock is the session's: use
-- one connection for as long as the relay runs. 1 means it is ours.
--
--   SELECT GET_LOCK(CONCAT(DATABASE(), '.aloud_outbox'), 0);
--
-- `Intents::next`:
--
--   SELECT seq, act, job_id, queue, `key`, body, written, boot, mono
--   FROM aloud_outbox ORDER BY seq LIMIT ?;
--
-- `Intents::settle`, with as many marks as there are numbers:
--
--   DELETE FROM aloud_outbox WHERE seq IN (?, ?, ?);
--
-- `Intents::set_aside`, two statements in one transaction:
--
--   INSERT INTO aloud_outbox_aside (seq, act, job_id, queue, `key`, body, written, boot, mono, why)
--   SELECT seq, act, job_id, queue, `key`, body, written, boot, mono, ? FROM aloud_outbox WHERE seq = ?;
--   DELETE FROM aloud_outbox WHERE seq = ?;
--
-- `Intents::counts`:
--
--   SELECT (SELECT COUNT(*) FROM aloud_outbox), (SELECT COUNT(*) FROM aloud_outbox_aside);
--
-- A person sends again what was set aside, after mending what was wrong: the
-- two statements of `set_aside` the other way round, in one transaction,
-- without `seq`.
