-- Long texts that clients bring piece by piece over SMPP, until all pieces are there; and what only that door asks.

-- name: fragment_insert
INSERT INTO fragment (client, sender, recipient, reference, total, number, brand_id, id, text, at, callback)
VALUES (:client, :sender, :recipient, :reference, :total, :number, :brand, :id, :text, :at, :callback)

-- name: fragment_list
SELECT number, id, text, at, callback FROM fragment
WHERE client = :client AND sender = :sender AND recipient = :recipient AND reference = :reference AND total = :total
ORDER BY number

-- name: fragment_delete
-- Those that another process has not taken away meanwhile.
DELETE FROM fragment
WHERE client = :client AND sender = :sender AND recipient = :recipient AND reference = :reference AND total = :total
  AND id IN (SELECT value FROM numbers(:ids))
RETURNING id

-- name: fragment_left
-- Texts that are all there and were not accepted, and those whose last piece never came.
SELECT client, sender, recipient, reference, total FROM fragment WHERE brand_id = :brand
GROUP BY client, sender, recipient, reference, total
HAVING (count(*) = total AND max(at) < :whole_before) OR max(at) < :before LIMIT 100

-- name: fragment_known
SELECT 1 FROM fragment WHERE client = :client AND id = :id

-- name: fate_of
-- What became of a text that this client asked for.
SELECT coalesce(s.state, 0), coalesce(s.code, ''), coalesce(s.at, 0)
FROM message m LEFT JOIN state s ON s.message = m.id WHERE m.id = :message AND m.run = :client

-- name: notice_too_old
-- What a client has not fetched for so long, since it was not bound.
UPDATE notice SET state = 2, trouble = :trouble WHERE id IN (
    SELECT n.id FROM notice n WHERE n.client = :client AND n.door = :door AND n.state = 0 AND n.due < :before
    ORDER BY n.due LIMIT :limit)
