-- What health and metrics ask for beside the queries of each noun.

-- name: schema_number
SELECT coalesce(max(number), 0) FROM migration

-- name: outbox_oldest
-- By lane, when the first of what waits was or will be due; what is paused waits for a person and is left out.
SELECT lane, min(first_due) FROM (
  SELECT q.lane, (SELECT min(o.due) FROM outbox o WHERE o.queue = q.id) AS first_due
  FROM queue q WHERE q.brand_id = :brand AND q.active <> 0
) waiting WHERE first_due IS NOT NULL GROUP BY lane

-- name: suppressed_all
-- Messages that were made and that the gate then kept from leaving: states refused and expired.
SELECT reason, CAST(sum(n) AS BIGINT) FROM tally WHERE brand_id = :brand AND state IN (41, 42) GROUP BY reason

-- name: runs_planned
SELECT id, planned_at IS NOT NULL FROM run WHERE brand_id = :brand AND started_at IS NOT NULL

-- name: client_tally
SELECT c.name, t.state, CAST(sum(t.n) AS BIGINT) FROM client c JOIN tally t ON t.run = c.id
WHERE c.brand_id = :brand GROUP BY c.name, t.state

-- name: notices_waiting
-- A parcel counts as what it holds.
SELECT c.name, n.door, CAST(sum(CASE WHEN n.subject = 'parcel' THEN CAST(n.target AS BIGINT) ELSE 1 END) AS BIGINT)
FROM notice n JOIN client c ON c.id = n.client
WHERE n.brand_id = :brand AND n.state = 0 GROUP BY c.name, n.door
