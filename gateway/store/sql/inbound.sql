-- Texts that came in: kept before the carrier is thanked, thought about afterwards.

-- name: inbound_insert
INSERT INTO inbound (id, brand_id, channel, sender, recipient, text, person, at, intent, thought, outcome)
VALUES (:id, :brand, :channel, :sender, :recipient, :text, :person, :at, :intent, :thought, :outcome)

-- name: inbound_waiting
SELECT id, channel, sender, recipient, text, person, at, intent FROM inbound WHERE thought = 0 ORDER BY id LIMIT :limit

-- name: inbound_awaited
SELECT EXISTS (SELECT 1 FROM inbound WHERE person = :person AND thought = 0)

-- name: inbound_thought
UPDATE inbound SET thought = :thought, outcome = :outcome WHERE id = :id

-- name: inbound_of_person
SELECT id, channel, recipient, text, at, intent, thought, outcome FROM inbound WHERE person = :person ORDER BY id

-- name: seen_among
SELECT s.mark, s.line, s.at, l.alive_at FROM words(:marks) j
CROSS JOIN seen s ON s.channel = :channel AND s.mark = j.value
LEFT JOIN line l ON l.channel = s.channel AND l.line = s.line

-- name: seen_insert
INSERT INTO seen (channel, mark, brand_id, line, at) VALUES (:channel, :mark, :brand, :line, :at)
ON CONFLICT DO NOTHING

-- name: seen_move
UPDATE seen SET line = :to_line, at = :to_at WHERE channel = :channel AND mark = :mark AND line = :line AND at = :at

-- name: seen_expire
DELETE FROM seen WHERE (channel, mark, line, at) IN (
    SELECT channel, mark, line, at FROM seen WHERE at < :before ORDER BY at LIMIT :limit)

-- name: line_alive
INSERT INTO line (channel, line, brand_id, alive_at) VALUES (:channel, :line, :brand, :alive_at)
ON CONFLICT (channel, line) DO UPDATE SET alive_at = excluded.alive_at

-- name: line_expire
DELETE FROM line WHERE alive_at < :before

-- name: piece_insert
INSERT INTO piece (channel, sender, recipient, reference, total, number, brand_id, text, at)
VALUES (:channel, :sender, :recipient, :reference, :total, :number, :brand, :text, :at)
ON CONFLICT DO NOTHING

-- name: piece_list
SELECT number, text FROM piece
WHERE channel = :channel AND sender = :sender AND recipient = :recipient AND reference = :reference AND total = :total
ORDER BY number

-- name: piece_delete
DELETE FROM piece
WHERE channel = :channel AND sender = :sender AND recipient = :recipient AND reference = :reference AND total = :total

-- name: piece_stale
SELECT channel, sender, recipient, reference, total FROM piece
GROUP BY channel, sender, recipient, reference, total HAVING max(at) < :before LIMIT 100
