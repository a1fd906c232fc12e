-- What memory must know of a waiting job: by its key.
SELECT id, queue, priority, due, due_mono, ask_at, ask_at_mono, expires, expires_mono, attempt, guard IS NOT NULL, key, client_id,
       kind
FROM jobs WHERE id = ?1
