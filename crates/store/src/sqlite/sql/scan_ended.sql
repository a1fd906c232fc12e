-- Ended jobs, newest first: one scan of `ended` from its right edge.
SELECT id, queue, kind, key, outcome FROM ended WHERE id < ?1 ORDER BY id DESC
