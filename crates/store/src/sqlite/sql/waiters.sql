-- The same of all live jobs: one scan of `jobs`, at the start.
SELECT id, queue, priority, due, due_mono, ask_at, ask_at_mono, expires, expires_mono, attempt, guard IS NOT NULL, key, client_id,
       kind
FROM jobs
