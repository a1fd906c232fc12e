-- All jobs that run, with their leases: one scan of `leases`, and a look-up by
-- key for each, at the start.
SELECT queue, kind, key, client_id, guard, priority, expires, expires_mono, retry, pushed, attempt, failures, rescues,
       snoozes, history, leases.id, lease, until, until_mono, worker, started
FROM leases JOIN jobs USING (id)
