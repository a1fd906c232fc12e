-- An ended job: by its key.
SELECT queue, kind, key, client_id, guard, priority, expires, expires_mono, retry, pushed, attempt, failures, rescues,
       snoozes, history, at, outcome, detail
FROM ended WHERE id = ?1
