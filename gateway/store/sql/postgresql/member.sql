-- The database's own clock.

-- name: database_now
SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)
