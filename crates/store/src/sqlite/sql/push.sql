-- A new job. Appends at the right edge of `jobs`: ids only grow.
INSERT INTO jobs (id, queue, priority, due, due_mono, expires, expires_mono, pushed, kind, key, client_id, guard, retry,
                  attempt, failures, rescues, snoozes)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, 0, 0, 0, 0)
