-- What a program that speaks to us as to Twilio reads of its own texts, and of those that came in for it.

-- name: twilio_one
SELECT m.id, m.sender, m.address, m.text, m.parts, m.price, coalesce(s.state, 0), coalesce(s.code, ''), coalesce(s.at, 0),
       coalesce(s.sent, 0), b.callback
FROM submission b CROSS JOIN message m ON m.id = b.message LEFT JOIN state s ON s.message = b.message
WHERE b.client = :client AND b.message = :message

-- name: twilio_sent
-- The latest of its texts before an id; `sender` empty: from any number of ours.
SELECT m.id, m.sender, m.address, m.text, m.parts, m.price, coalesce(s.state, 0), coalesce(s.code, ''), coalesce(s.at, 0),
       coalesce(s.sent, 0), b.callback
FROM submission b CROSS JOIN message m ON m.id = b.message LEFT JOIN state s ON s.message = b.message
WHERE b.client = :client AND b.message >= :since AND b.message < :before AND (m.sender = :sender OR :sender = '')
ORDER BY b.message DESC LIMIT :limit

-- name: twilio_sent_to
-- The same to one phone, found by its person: 0 for texts of test keys, which belong to nobody.
SELECT m.id, m.sender, m.address, m.text, m.parts, m.price, coalesce(s.state, 0), coalesce(s.code, ''), coalesce(s.at, 0),
       coalesce(s.sent, 0), b.callback
FROM message m CROSS JOIN submission b ON b.client = :client AND b.message = m.id
LEFT JOIN state s ON s.message = m.id
WHERE m.person = :person AND m.address = :address AND m.id >= :since AND m.id < :before
  AND (m.sender = :sender OR :sender = '')
ORDER BY m.id DESC LIMIT :limit

-- name: twilio_came
-- Texts to these numbers of ours.
SELECT id, sender, recipient, text FROM inbound
WHERE id >= :since AND id < :before AND brand_id = :brand AND recipient IN (SELECT value FROM words(:numbers))
ORDER BY id DESC LIMIT :limit

-- name: twilio_came_from
-- The same from one phone.
SELECT id, sender, recipient, text FROM inbound
WHERE person = :person AND sender = :sender AND id >= :since AND id < :before
  AND recipient IN (SELECT value FROM words(:numbers))
ORDER BY id DESC LIMIT :limit

-- name: twilio_person
SELECT id FROM person WHERE brand_id = :brand AND address = :address

-- name: twilio_blank_sent
UPDATE message SET text = '' WHERE id = :message AND run = :client

-- name: twilio_blank_came
UPDATE inbound SET text = '' WHERE id = :message AND brand_id = :brand
