-- A job of `jobs` that waits anew: by its key, which is its id.
UPDATE jobs SET due = ?2, due_mono = ?3, ask_at = ?4, ask_at_mono = ?5, attempt = ?6, failures = ?7, rescues = ?8,
                snoozes = ?9, history = ?10
WHERE id = ?1
