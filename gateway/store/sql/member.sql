-- The processes that serve one business together, and the database's own clock, by which alone leases are measured.

-- name: database_now
SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)
