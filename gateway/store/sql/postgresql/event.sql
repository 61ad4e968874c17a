-- The journal, where several processes append at once, and where what SQLite does with numbers needs other words.

-- name: event_insert_alike
-- Many messages of one part each, whose carrier's ids and own ids are the names and values of `refs`.
INSERT INTO event (brand_id, run, message, part, parts, state, at, code, ref)
SELECT :brand, :run, j.value::bigint, 0, 1, :state, :at, :code, j.key FROM json_each_text(:refs::json) j

-- name: event_last
-- The last number that was given: what is above will come; what is below may still come from others who write.
SELECT last_value FROM event_n

-- name: event_settled
-- Above which event some of those who write now may add others: the least of what each noted when it entered. With
-- nobody there, the last number itself. Each reads the sequence before it takes its lock; so does this, in this order.
SELECT carillon_horizon()

-- name: folding_create
-- The new states of one batch, between two statements; of this connection alone. Emptied in place at each commit, since
-- nobody vacuums it.
CREATE TEMP TABLE IF NOT EXISTS folding (
  message bigint NOT NULL, run bigint NOT NULL, parts integer NOT NULL, sent bigint NOT NULL, delivered bigint NOT NULL,
  worst integer NOT NULL, code text COLLATE "C" NOT NULL, state integer NOT NULL, reason text COLLATE "C" NOT NULL,
  was integer NOT NULL, why text COLLATE "C" NOT NULL, at bigint NOT NULL,
  taken integer NOT NULL
) ON COMMIT DELETE ROWS

-- name: fold_short
-- The new state of every message of one part that the events speak of, beside its old one. States are merged by the
-- highest rank (gateway.messages.State): a part that was sent or delivered is a bit; of what is neither the worst counts,
-- compared as its two digits and its code, so that any order of events ends in one result. A receipt may come when the day
-- of its message was let go: then nothing is counted. None is let go in its first nine days, so of what is younger than
-- eight (the 1,578,528,000,000 ms are those from 1970 to 2020, where ids begin, and these) nobody need look that up.
INSERT INTO folding (message, run, parts, sent, delivered, worst, code, state, reason, was, why, at, taken)
SELECT message, run, 1, sent, delivered, worst, code,
       CASE WHEN delivered <> 0 THEN 50 WHEN sent <> 0 THEN greatest(20, worst) ELSE worst END,
       CASE WHEN delivered <> 0 OR (sent <> 0 AND worst < 20) THEN '' ELSE code END, was, why, at,
       CASE WHEN sent <> 0 AND had = 0 THEN 1 ELSE 0 END
FROM (
  SELECT message, run, sent, delivered, CAST(substr(worst, 1, 2) AS integer) AS worst, substr(worst, 3) AS code, was, why,
         at, had
  FROM (
    SELECT g.message, g.run, greatest(g.at, s.at) AS at, g.sent | coalesce(s.sent, 0) AS sent,
           g.delivered | coalesce(s.delivered, 0) AS delivered,
           greatest(g.worst, coalesce(s.worst || s.code, '0')) AS worst, coalesce(s.state, 0) AS was, coalesce(s.sent, 0) AS had,
           CASE WHEN s.state = s.worst THEN s.code ELSE '' END AS why
    FROM (
      SELECT message, min(run) AS run, max(CASE WHEN state IN (20, 50) THEN 1 ELSE 0 END) AS sent,
             max(CASE WHEN state = 50 THEN 1 ELSE 0 END) AS delivered,
             max(CASE WHEN state IN (20, 50) THEN '0' ELSE state || code END) AS worst, max(at) AS at
      FROM event WHERE n > :after AND n <= :until AND parts = 1 GROUP BY message
    ) g LEFT JOIN state s ON s.message = g.message
    WHERE s.message IS NOT NULL OR g.at < (g.message >> 22) + 1578528000000
      OR (SELECT m.id FROM message m WHERE m.id = g.message) IS NOT NULL  -- of the few: never hashed, as EXISTS may be
  ) merged
) ranked

-- name: fold_long
-- The same for messages of several parts: each part is a bit, part -1 is all of them.
INSERT INTO folding (message, run, parts, sent, delivered, worst, code, state, reason, was, why, at, taken)
SELECT message, run, parts, sent, delivered, worst, code,
       CASE WHEN delivered = every THEN 50 WHEN sent = every THEN greatest(20, worst) ELSE worst END,
       CASE WHEN delivered = every OR (sent = every AND worst < 20) THEN '' ELSE code END, was, why, at,
       CASE WHEN sent <> 0 AND had = 0 THEN 1 ELSE 0 END
FROM (
  SELECT message, run, parts, every, sent, delivered, CAST(substr(worst, 1, 2) AS integer) AS worst,
         substr(worst, 3) AS code, was, why, at, had
  FROM (
    SELECT g.message, g.run, g.parts, greatest(g.at, s.at) AS at, g.every,
           CASE WHEN g.sent_whole THEN g.every ELSE g.sent | coalesce(s.sent, 0) END AS sent,
           CASE WHEN g.delivered_whole THEN g.every ELSE g.delivered | coalesce(s.delivered, 0) END AS delivered,
           greatest(g.worst, coalesce(s.worst || s.code, '0')) AS worst, coalesce(s.state, 0) AS was, coalesce(s.sent, 0) AS had,
           CASE WHEN s.state = s.worst THEN s.code ELSE '' END AS why
    FROM (
      SELECT message, min(run) AS run, max(parts) AS parts, ~(-1::bigint << max(parts)) AS every,
             bool_or(part < 0 AND state IN (20, 50)) AS sent_whole, bool_or(part < 0 AND state = 50) AS delivered_whole,
             bit_or(CASE WHEN part >= 0 AND state IN (20, 50) THEN 1::bigint << part ELSE 0 END) AS sent,
             bit_or(CASE WHEN part >= 0 AND state = 50 THEN 1::bigint << part ELSE 0 END) AS delivered,
             max(CASE WHEN state IN (20, 50) THEN '0' ELSE state || code END) AS worst, max(at) AS at
      FROM event WHERE n > :after AND n <= :until AND parts > 1 GROUP BY message
    ) g LEFT JOIN state s ON s.message = g.message
    WHERE s.message IS NOT NULL OR g.at < (g.message >> 22) + 1578528000000
      OR (SELECT m.id FROM message m WHERE m.id = g.message) IS NOT NULL  -- of the few: never hashed, as EXISTS may be
  ) merged
) ranked

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
FROM flight f CROSS JOIN LATERAL json_array_elements(f.messages::json) j(value)
JOIN message m ON m.id = (j.value ->> 0)::bigint
