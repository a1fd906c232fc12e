-- A dead job: by its key.
SELECT queue, kind, key, client_id, guard, priority, expires, expires_mono, retry, pushed, attempt, failures, rescues,
       snoozes, history, since, cause
FROM dead WHERE id = ?1
