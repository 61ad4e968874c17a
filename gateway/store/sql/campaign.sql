-- Runs of campaigns: who is next, how far a run is, and what it came to.

-- name: audience_page
-- The members of a segment after a person, in the order of the table, with all that planning asks about.
SELECT p.id, p.address, p.country, p.zone, p.language, p.first_name, p.last_name, p.city, p.attributes,
       s.at, c.since, r.times, p.line_type, p.network
FROM person p
LEFT JOIN stop s ON s.person = p.id
LEFT JOIN consent c ON c.person = p.id AND c.program = :program
LEFT JOIN reach r ON r.person = p.id AND r.program = :program
-- The plus keeps the planner off the index by brand, which would sort the whole table for every page.
WHERE +p.brand_id = :brand AND p.id > :after AND :condition
ORDER BY p.id LIMIT :limit

-- name: audience_brief
-- The same people as the planner reads them. Every value that reaches Python is paid for under the interpreter's lock:
-- so all that makes people alike is one value, put together here, and fields that no text asks for stay behind.
-- packed: 10 columns
SELECT p.id, p.country || '|' || p.zone || '|' || p.language || '|' || p.line_type || '|' || p.network, p.address,
       s.at, c.since, octets(r.times),
       CASE WHEN :first_name = 1 THEN p.first_name END, CASE WHEN :last_name = 1 THEN p.last_name END,
       CASE WHEN :city = 1 THEN p.city END, CASE WHEN :attributes = 1 THEN p.attributes END
FROM person p
LEFT JOIN stop s ON s.person = p.id
LEFT JOIN consent c ON c.person = p.id AND c.program = :program
LEFT JOIN reach r ON r.person = p.id AND r.program = :program
WHERE +p.brand_id = :brand AND p.id > :after AND :condition
ORDER BY p.id LIMIT :limit

-- name: people_count
SELECT count(*) FROM person WHERE brand_id = :brand

-- name: run_insert
INSERT INTO run (id, brand_id, campaign, occurrence, config, state, due, until)
VALUES (:id, :brand, :campaign, :occurrence, :config, 'waiting', :due, :until)
ON CONFLICT (brand_id, campaign, occurrence) DO NOTHING

-- name: run_list
SELECT id, campaign, occurrence, config, state, resume, why, due, until, checkpoint, matched, spent, started_at,
       planned_at, ended_at, parts, unit, taken_parts, taken_cost
FROM run WHERE brand_id = :brand ORDER BY id

-- name: run_of_campaign
SELECT id, campaign, occurrence, config, state, resume, why, due, until, checkpoint, matched, spent, started_at,
       planned_at, ended_at, parts, unit, taken_parts, taken_cost
FROM run WHERE brand_id = :brand AND campaign = :campaign ORDER BY id DESC LIMIT 1

-- name: run_by_id
SELECT id, campaign, occurrence, config, state, resume, why, due, until, checkpoint, matched, spent, started_at,
       planned_at, ended_at, parts, unit, taken_parts, taken_cost
FROM run WHERE id = :id

-- name: run_begin
UPDATE run SET state = 'planning', started_at = :now WHERE id = :id AND state = 'waiting'

-- name: run_advance
-- Guarded by the checkpoint that the page was read at, so that no page can count twice.
UPDATE run SET checkpoint = :checkpoint, matched = matched + :matched, spent = spent + :spent,
    parts = parts + :parts, unit = :unit
WHERE id = :id AND checkpoint = :was AND state = 'planning'

-- name: run_planned
UPDATE run SET state = 'sending', planned_at = :now WHERE id = :id AND state = 'planning'

-- name: run_pause
UPDATE run SET resume = state, state = 'paused', why = :why
WHERE id = :id AND state IN ('waiting', 'planning', 'sending')

-- name: run_resume
UPDATE run SET state = resume, resume = '', why = '' WHERE id = :id AND state = 'paused'

-- name: run_stop
UPDATE run SET state = 'stopping', why = :why
WHERE id = :id AND state IN ('waiting', 'planning', 'sending', 'paused')

-- name: run_end
UPDATE run SET state = :state, ended_at = :now WHERE id = :id AND state = :was

-- name: run_queues
SELECT id, channel FROM queue WHERE brand_id = :brand AND run = :run ORDER BY id

-- name: run_is_waiting
-- Whether anything of a run still waits or is in the air.
SELECT EXISTS (SELECT 1 FROM outbox o WHERE o.queue = :queue) OR EXISTS (SELECT 1 FROM flight f WHERE f.queue = :queue)

-- name: refusal_insert
INSERT INTO refusal (run, person, brand_id, reason) VALUES (:run, :person, :brand, :reason)

-- name: refused_add
INSERT INTO refused (run, reason, brand_id, n) VALUES (:run, :reason, :brand, :n)
ON CONFLICT (run, reason) DO UPDATE SET n = refused.n + excluded.n

-- name: fact_set
INSERT INTO fact (brand_id, name, value) VALUES (:brand, :name, :value)
ON CONFLICT (brand_id, name) DO UPDATE SET value = excluded.value

-- name: fact_list
SELECT name, value FROM fact WHERE brand_id = :brand AND name LIKE :like

-- name: config_insert
INSERT INTO config (brand_id, version, applied_at, digest, sources)
VALUES (:brand, :version, :applied_at, :digest, :sources)

-- name: config_latest
SELECT version, applied_at, digest, sources FROM config WHERE brand_id = :brand ORDER BY version DESC LIMIT 1

-- name: config_version
SELECT version, applied_at, digest, sources FROM config WHERE brand_id = :brand AND version = :version

-- name: plan_insert
INSERT INTO plan (brand_id, id, at, digest, estimate) VALUES (:brand, :id, :at, :digest, :estimate)
ON CONFLICT (brand_id, id) DO UPDATE SET at = excluded.at, digest = excluded.digest, estimate = excluded.estimate

-- name: plan_latest
SELECT id, at, digest, estimate FROM plan WHERE brand_id = :brand ORDER BY at DESC LIMIT 1

-- name: plan_get
SELECT id, at, digest, estimate FROM plan WHERE brand_id = :brand AND id = :id

-- name: last_id
-- The greatest id that was ever made: a clock that steps back must not make one twice.
SELECT coalesce(max(id), 0) FROM (
  SELECT max(id) AS id FROM message UNION ALL SELECT max(id) FROM inbound UNION ALL SELECT max(id) FROM person
  UNION ALL SELECT max(id) FROM run UNION ALL SELECT max(id) FROM queue UNION ALL SELECT max(id) FROM ledger
  UNION ALL SELECT max(id) FROM client UNION ALL SELECT max(id) FROM notice
) newest
