-- A job that waits, with what it carries, and whether it runs after all: three
-- look-ups by key.
SELECT queue, kind, key, client_id, guard, priority, expires, expires_mono, retry, pushed, attempt, failures, rescues,
       snoozes, history, due, due_mono, ask_at, ask_at_mono,
       (SELECT payload FROM payloads WHERE payloads.id = jobs.id)
FROM jobs WHERE id = ?1
