-- The journal: what happened to each part, appended in order, folded into state and tally behind.

-- name: event_insert
INSERT INTO event (brand_id, run, message, part, parts, state, at, code, ref)
VALUES (:brand, :run, :message, :part, :parts, :state, :at, :code, :ref)

-- name: event_after
SELECT n, run, message, part, parts, state, at, code, ref FROM event WHERE n > :n ORDER BY n LIMIT :limit

-- name: event_between
SELECT n, run, message, part, parts, state, at, code, ref FROM event WHERE n > :after AND n <= :until ORDER BY n

-- name: cursor_get
SELECT n FROM cursor WHERE name = :name

-- name: cursor_set
INSERT INTO cursor (name, brand_id, n) VALUES (:name, :brand, :n) ON CONFLICT (name) DO UPDATE SET n = excluded.n

-- name: state_get
SELECT message, parts, sent, delivered, worst, state, code FROM state
WHERE message IN (SELECT value FROM json_each(:messages))

-- name: state_put
INSERT INTO state (message, brand_id, run, parts, sent, delivered, worst, state, code, at)
VALUES (:message, :brand, :run, :parts, :sent, :delivered, :worst, :state, :code, :at)
ON CONFLICT (message) DO UPDATE SET sent = excluded.sent, delivered = excluded.delivered, worst = excluded.worst,
    state = excluded.state, code = excluded.code, at = excluded.at

-- name: state_overdue
-- Taken by the carrier, or in doubt, and no receipt although the message's life and the grace are over.
SELECT s.message, s.run, s.parts FROM state s CROSS JOIN message m ON m.id = s.message
WHERE s.state = :state AND s.message < :made_before AND s.at < :before AND m.valid_until < :before
ORDER BY s.message LIMIT :limit

-- name: doubts_fitting
SELECT m.id, m.run, m.parts, s.delivered, m.channel, m.sender, m.address
FROM state s CROSS JOIN message m ON m.id = s.message WHERE s.state = 10

-- name: ref_put
INSERT INTO ref (ref, brand_id, run, message, part, parts, at) VALUES (:ref, :brand, :run, :message, :part, :parts, :at)
ON CONFLICT (ref) DO UPDATE SET run = excluded.run, message = excluded.message, part = excluded.part,
    parts = excluded.parts, at = excluded.at

-- name: ref_get
SELECT ref, run, message, part, parts FROM ref WHERE ref IN (SELECT value FROM json_each(:refs))

-- name: ref_expire
DELETE FROM ref WHERE ref IN (SELECT ref FROM ref WHERE at < :before ORDER BY at LIMIT :limit)

-- name: parked_insert
INSERT INTO parked (brand_id, channel, refs, fit, state, code, at)
VALUES (:brand, :channel, :refs, :fit, :state, :code, :at)

-- name: parked_after
SELECT n, refs, fit, state, code, at FROM parked WHERE n > :n ORDER BY n LIMIT 10000

-- name: parked_delete
DELETE FROM parked WHERE n = :n
