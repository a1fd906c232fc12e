-- The lease of a job that runs: by its key.
SELECT lease, until, until_mono, worker, started FROM leases WHERE id = ?1
