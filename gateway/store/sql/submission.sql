-- Texts that clients asked for, and the answers that they get again.

-- name: submission_insert
INSERT INTO submission (client, message, brand_id, test, reference, callback)
VALUES (:client, :message, :brand, :test, :reference, :callback)

-- name: submission_people
-- Who these phones belong to, and what decides whether they may be texted.
SELECT p.address, p.id, p.country, p.zone, p.line_type, p.network, s.at
FROM words(:addresses) a CROSS JOIN person p ON p.address = a.value AND p.brand_id = :brand
LEFT JOIN stop s ON s.person = p.id

-- name: submission_consent
-- Which of these people said yes to a programme.
SELECT c.person FROM numbers(:people) j CROSS JOIN consent c ON c.person = j.value AND c.program = :program

-- name: submission_known
-- The numbers of ours that these people know, the latest first.
SELECT s.person, s.number FROM numbers(:people) j CROSS JOIN sticky s ON s.person = j.value ORDER BY s.person, s.at DESC, s.number

-- name: queues_of_runs
SELECT q.run, q.channel, q.lane, q.shard, q.id FROM queue q
WHERE q.brand_id = :brand AND q.run IN (SELECT value FROM numbers(:runs))

-- name: idem_among
-- Each key is looked up by itself: those of a client may be many.
SELECT i.client, i.key, i.digest, i.result FROM numbers(:clients) c CROSS JOIN words(:keys) k
CROSS JOIN idem i ON i.client = c.value AND i.key = k.value

-- name: idem_insert
INSERT INTO idem (client, key, brand_id, digest, result, at) VALUES (:client, :key, :brand, :digest, :result, :at)

-- name: fates_told
-- What this fold has changed of texts that clients asked for: of those who hear of everything, and where a text has an
-- address of its own. That a carrier took a text is not asked for by SMPP programs that want to hear of its end.
-- packed: 17 columns
SELECT f.message, f.run, f.was, f.state, f.sent, f.reason, f.at, f.parts, m.channel, m.sender, m.address, m.text, m.price, s.test, s.reference,
       s.callback, m.content
FROM folding f CROSS JOIN submission s ON s.client = f.run AND s.message = f.message
CROSS JOIN message m ON m.id = f.message
WHERE f.was <> f.state AND f.run IN (SELECT value FROM numbers(:clients))
  AND (f.run IN (SELECT value FROM numbers(:hearing)) OR s.callback <> '' AND NOT (f.state = :sent
    AND substr(s.callback, 1, 25) IN ('{"door":"smpp","asked":1,', '{"door":"smpp","asked":2,', '{"door":"smpp","asked":3,')))
ORDER BY f.message

-- name: submission_tidy
-- Of messages below the first one that is kept.
DELETE FROM submission WHERE (client, message) IN (
    SELECT s.client, s.message FROM submission s WHERE s.client = :client AND s.message < :before ORDER BY s.message LIMIT :limit)
