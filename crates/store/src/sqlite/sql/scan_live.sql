-- Live jobs, newest first, in the few columns that a search looks at: one scan
-- of `jobs` from its right edge, and a look-up by key for each.
SELECT id, queue, kind, key, due, due_mono, ask_at, ask_at_mono, attempt,
       EXISTS (SELECT 1 FROM leases WHERE leases.id = jobs.id)
FROM jobs WHERE id < ?1 ORDER BY id DESC
