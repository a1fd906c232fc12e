-- A job that waits or runs, without what it carries: by its key.
SELECT queue, kind, key, client_id, guard, priority, expires, expires_mono, retry, pushed, attempt, failures, rescues,
       snoozes, history, due, due_mono, ask_at, ask_at_mono
FROM jobs WHERE id = ?1
