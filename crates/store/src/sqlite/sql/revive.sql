-- A dead job that waits again. Unlike a push it has been through something.
INSERT INTO jobs (id, queue, priority, due, due_mono, expires, expires_mono, pushed, kind, key, client_id, guard, retry,
                  attempt, failures, rescues, snoozes, history)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)
