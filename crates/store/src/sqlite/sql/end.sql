-- A job that is over. Mostly near the right edge of `ended`: jobs end roughly in
-- the order in which they were pushed.
INSERT INTO ended (id, queue, at, outcome, detail, priority, expires, expires_mono, attempt, failures, rescues, snoozes,
                   pushed, kind, key, client_id, guard, retry, history)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)
