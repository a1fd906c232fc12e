-- Everything that is counted along, in the transaction of what it counts.
UPDATE counters SET last_id = ?1, pushed = ?2, waiting = ?3, running = ?4, dead = ?5, done = ?6, skipped = ?7,
                    cancelled = ?8, superseded = ?9, expired = ?10, discarded = ?11, kept = ?12, newest_wall = ?13,
                    newest_mono = ?14
