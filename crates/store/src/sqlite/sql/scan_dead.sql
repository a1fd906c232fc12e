-- Dead jobs, newest first: one scan of `dead` from its right edge.
SELECT id, queue, kind, key FROM dead WHERE id < ?1 ORDER BY id DESC
