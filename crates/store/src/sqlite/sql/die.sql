-- A job that is laid aside.
INSERT INTO dead (id, queue, since, cause, priority, expires, expires_mono, attempt, failures, rescues, snoozes, pushed,
                  kind, error, key, client_id, guard, retry, history)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)
