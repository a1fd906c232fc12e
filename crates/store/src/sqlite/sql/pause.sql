-- Who holds a queue; all NULL when nobody does: by its key.
UPDATE queues SET paused_by = ?2, paused_reason = ?3, paused_since = ?4, paused_until = ?5, paused_until_mono = ?6
WHERE number = ?1
