-- The journal: what happened to each part, appended in order, folded into state and tally behind.

-- name: event_insert
INSERT INTO event (brand_id, run, message, part, parts, state, at, code, ref)
VALUES (:brand, :run, :message, :part, :parts, :state, :at, :code, :ref)

-- name: event_insert_alike
-- The same for many messages of one part each, whose carrier's ids and own ids are the names and values of `refs`.
INSERT INTO event (brand_id, run, message, part, parts, state, at, code, ref)
SELECT :brand, :run, j.value, 0, 1, :state, :at, :code, j.key FROM json_each(:refs) j

-- name: event_last
SELECT coalesce(max(n), 0) FROM event

-- name: event_settled
-- Up to which event nothing can come late any more.
SELECT coalesce(max(n), 0) FROM event

-- name: event_after
SELECT n, run, message, part, parts, state, at, code, ref FROM event WHERE n > :n ORDER BY n LIMIT :limit

-- name: event_refs
-- Carriers' ids by which receipts may still come, and whether the part is delivered: then nothing changes any more.
SELECT e.n, e.ref, e.run, e.message, e.part, e.parts,
       s.state IS NOT NULL AND (s.state = 50 OR (e.part >= 0 AND (s.delivered >> e.part) & 1 = 1))
FROM event e LEFT JOIN state s ON s.message = e.message WHERE e.n > :after AND e.ref <> '' ORDER BY e.n

-- name: cursor_get
SELECT n FROM cursor WHERE name = :name

-- name: cursor_set
INSERT INTO cursor (name, brand_id, n) VALUES (:name, :brand, :n) ON CONFLICT (name) DO UPDATE SET n = excluded.n

-- name: folding_create
-- The new states of one batch, between two statements; of this connection alone.
CREATE TEMP TABLE folding (
  message INTEGER NOT NULL, run INTEGER NOT NULL, parts INTEGER NOT NULL, sent INTEGER NOT NULL,
  delivered INTEGER NOT NULL, worst INTEGER NOT NULL, code TEXT NOT NULL, state INTEGER NOT NULL, reason TEXT NOT NULL,
  was INTEGER NOT NULL, why TEXT NOT NULL, at INTEGER NOT NULL, taken INTEGER NOT NULL
)

-- name: fold_short
-- The new state of every message of one part that the events speak of, beside its old one. States are merged by the
-- highest rank (gateway.messages.State): a part that was sent or delivered is a bit; of what is neither the worst counts,
-- compared as its two digits and its code, so that any order of events ends in one result. Of most messages there is
-- nothing worse than sent, and then no text is put together or cut.
INSERT INTO folding (message, run, parts, sent, delivered, worst, code, state, reason, was, why, at, taken)
SELECT message, run, 1, sent, delivered, worst, code,
       CASE WHEN delivered THEN 50 WHEN sent THEN max(20, worst) ELSE worst END,
       CASE WHEN delivered OR (sent AND worst < 20) THEN '' ELSE code END, was, why, at, sent > had
FROM (
  SELECT g.message, g.run, max(g.at, coalesce(s.at, 0)) AS at, g.sent | coalesce(s.sent, 0) AS sent,
         (g.highest = 50) | coalesce(s.delivered, 0) AS delivered,
         CASE WHEN g.worst IS NULL THEN coalesce(s.worst, 0)
              ELSE CAST(substr(max(g.worst, coalesce(s.worst || s.code, '0')), 1, 2) AS INTEGER) END AS worst,
         CASE WHEN g.worst IS NULL THEN coalesce(s.code, '')
              ELSE substr(max(g.worst, coalesce(s.worst || s.code, '0')), 3) END AS code,
         coalesce(s.state, 0) AS was, coalesce(s.sent, 0) AS had,
         CASE WHEN s.state = s.worst THEN s.code ELSE '' END AS why
  FROM (
    SELECT message, run, max(state) AS highest, max(state IN (20, 50)) AS sent, max(at) AS at,
           max(CASE WHEN state NOT IN (20, 50) THEN state || code END) AS worst
    FROM event WHERE n > :after AND n <= :until AND parts = 1 GROUP BY message
  ) g LEFT JOIN state s ON s.message = g.message
)

-- name: fold_long
-- The same for messages of several parts: each part is a bit, part -1 is all of them.
INSERT INTO folding (message, run, parts, sent, delivered, worst, code, state, reason, was, why, at, taken)
SELECT message, run, parts, sent, delivered, worst, code,
       CASE WHEN delivered = every THEN 50 WHEN sent = every THEN max(20, worst) ELSE worst END,
       CASE WHEN delivered = every OR (sent = every AND worst < 20) THEN '' ELSE code END, was, why, at,
       CASE WHEN sent <> 0 AND had = 0 THEN 1 ELSE 0 END
FROM (
  SELECT message, run, parts, every, sent, delivered, CAST(substr(worst, 1, 2) AS INTEGER) AS worst,
         substr(worst, 3) AS code, was, why, at, had
  FROM (
    SELECT g.message, g.run, g.parts, max(g.at, coalesce(s.at, 0)) AS at, ~(-1 << g.parts) AS every,
           CASE WHEN g.sent_whole THEN ~(-1 << g.parts) ELSE g.sent | coalesce(s.sent, 0) END AS sent,
           CASE WHEN g.delivered_whole THEN ~(-1 << g.parts) ELSE g.delivered | coalesce(s.delivered, 0) END AS delivered,
           max(g.worst, coalesce(s.worst || s.code, '0')) AS worst, coalesce(s.state, 0) AS was, coalesce(s.sent, 0) AS had,
           CASE WHEN s.state = s.worst THEN s.code ELSE '' END AS why
    FROM (
      SELECT message, run, parts,
             max(part < 0 AND state IN (20, 50)) AS sent_whole, max(part < 0 AND state = 50) AS delivered_whole,
             sum(DISTINCT CASE WHEN part >= 0 AND state IN (20, 50) THEN 1 << part ELSE 0 END) AS sent,
             sum(DISTINCT CASE WHEN part >= 0 AND state = 50 THEN 1 << part ELSE 0 END) AS delivered,
             max(CASE WHEN state IN (20, 50) THEN '0' ELSE state || code END) AS worst, max(at) AS at
      FROM event WHERE n > :after AND n <= :until AND parts > 1 GROUP BY message
    ) g LEFT JOIN state s ON s.message = g.message
  )
)

-- name: fold_states
-- In the order in which they stand there, which is that of their ids but for the few of several parts.
INSERT INTO state (message, brand_id, run, parts, sent, delivered, worst, state, code, at)
SELECT message, :brand, run, parts, sent, delivered, worst, state, code, at FROM folding WHERE true
ON CONFLICT (message) DO UPDATE SET sent = excluded.sent, delivered = excluded.delivered, worst = excluded.worst,
    state = excluded.state, code = excluded.code, at = excluded.at

-- name: fold_tally
-- Counted by the way that they went first, of which there are few: so the batch is sorted once.
INSERT INTO tally (run, state, reason, brand_id, n)
WITH moved AS MATERIALIZED (
  SELECT run, was, why, state, reason, count(*) AS n FROM folding GROUP BY run, was, why, state, reason
)
SELECT run, state, reason, :brand, sum(n) FROM (
  SELECT run, was AS state, why AS reason, -n AS n FROM moved
  UNION ALL SELECT run, state, reason, n FROM moved
) changed WHERE true GROUP BY run, state, reason HAVING sum(n) <> 0
ON CONFLICT (run, state, reason) DO UPDATE SET n = tally.n + excluded.n

-- name: fold_taken
-- What runs owe their carriers: each message counts whole, once, as soon as anything of it was taken.
-- Only where parts have several prices must each message be looked at; one whose day was let go costs nothing any more.
UPDATE run SET taken_parts = taken_parts + taken.parts,
    taken_cost = taken_cost + CASE WHEN unit IS NOT NULL THEN unit * taken.parts ELSE (
      SELECT CAST(coalesce(sum(m.price), 0) AS BIGINT) FROM folding f CROSS JOIN message m ON m.id = f.message
      WHERE f.taken = 1 AND f.run = run.id
    ) END
FROM (SELECT run, CAST(sum(parts) AS BIGINT) AS parts FROM folding WHERE taken = 1 GROUP BY run) taken
WHERE run.id = taken.run

-- name: fold_clear
DELETE FROM folding

-- name: state_overdue
-- Taken by the carrier, or in doubt, and no receipt although the message's life and the grace are over.
SELECT s.message, s.run, s.parts FROM state s CROSS JOIN message m ON m.id = s.message
WHERE s.state = :state AND s.state IN (10, 20) AND s.message < :made_before AND s.at < :before AND m.valid_until < :before
ORDER BY s.message LIMIT :limit

-- name: doubts_fitting
-- Messages that a receipt without a known id may be about: of which a part was in doubt at any time, whatever is known by
-- now of it or of its other copies; or that are on the way at this moment. `at` is when the bytes of a doubtful one may
-- first have left.
SELECT m.id, m.run, m.parts, m.repeat & 1, coalesce(s.sent, 0), coalesce(s.state, 0), coalesce(s.at, 0), m.channel,
       m.sender, m.address
FROM (SELECT DISTINCT message FROM event WHERE state = 10 AND message > :made_after) d
CROSS JOIN message m ON m.id = d.message LEFT JOIN state s ON s.message = d.message
UNION ALL
SELECT m.id, m.run, m.parts, m.repeat & 1, 0, 0, f.at, m.channel, m.sender, m.address
FROM flight f CROSS JOIN json_each(f.messages) j CROSS JOIN message m ON m.id = j.value ->> 0

-- name: ref_put
INSERT INTO ref (ref, brand_id, run, message, part, parts, at) VALUES (:ref, :brand, :run, :message, :part, :parts, :at)
ON CONFLICT (ref) DO UPDATE SET run = excluded.run, message = excluded.message, part = excluded.part,
    parts = excluded.parts, at = excluded.at

-- name: ref_get
SELECT ref, run, message, part, parts FROM ref WHERE ref IN (SELECT value FROM words(:refs))

-- name: ref_expire
DELETE FROM ref WHERE ref IN (SELECT ref FROM ref WHERE at < :before ORDER BY at LIMIT :limit)

-- name: parked_insert
INSERT INTO parked (brand_id, channel, refs, fit, state, code, at)
VALUES (:brand, :channel, :refs, :fit, :state, :code, :at) RETURNING n

-- name: parked_put
INSERT INTO parked (brand_id, channel, refs, fit, state, code, at)
VALUES (:brand, :channel, :refs, :fit, :state, :code, :at)

-- name: parked_after
SELECT n, refs, fit, state, code, at FROM parked WHERE n > :after ORDER BY n

-- name: parked_take
-- Which of these were still there.
DELETE FROM parked WHERE n IN (SELECT value FROM numbers(:ns)) RETURNING n
