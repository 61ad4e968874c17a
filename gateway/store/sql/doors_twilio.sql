-- What a program that speaks to us as to Twilio reads of its own texts. Those that came in are read as by the REST API.

-- name: twilio_one
SELECT m.id, m.sender, m.address, m.text, m.parts, m.price, coalesce(s.state, 0), coalesce(s.code, ''), coalesce(s.at, 0),
       coalesce(s.sent, 0), b.callback, m.content
FROM submission b CROSS JOIN message m ON m.id = b.message LEFT JOIN state s ON s.message = b.message
WHERE b.client = :client AND b.message = :message AND b.test = :test

-- name: twilio_sent
-- The latest of its texts before an id, among a bounded number; `sender` empty: from any number of ours.
SELECT m.id, m.sender, m.address, m.text, m.parts, m.price, coalesce(s.state, 0), coalesce(s.code, ''), coalesce(s.at, 0),
       coalesce(s.sent, 0), b.callback, m.content
FROM (SELECT message, test, callback FROM submission
      WHERE client = :client AND message < :before AND message >= :since ORDER BY message DESC LIMIT :walk) b
CROSS JOIN message m ON m.id = b.message LEFT JOIN state s ON s.message = b.message
WHERE b.test = :test AND (:sender = '' OR m.sender = :sender)
ORDER BY b.message DESC LIMIT :limit

-- name: twilio_sent_to
-- The same to one phone, found by its person: 0 for texts of test keys, which belong to nobody.
SELECT m.id, m.sender, m.address, m.text, m.parts, m.price, coalesce(s.state, 0), coalesce(s.code, ''), coalesce(s.at, 0),
       coalesce(s.sent, 0), b.callback, m.content
FROM (SELECT id, sender, address, text, parts, price, content FROM message
      WHERE person = :person AND id < :before AND id >= :since ORDER BY id DESC LIMIT :walk) m
CROSS JOIN submission b ON b.client = :client AND b.message = m.id LEFT JOIN state s ON s.message = m.id
WHERE m.address = :address AND b.test = :test AND (:sender = '' OR m.sender = :sender)
ORDER BY m.id DESC LIMIT :limit

-- name: twilio_person
SELECT id FROM person WHERE brand_id = :brand AND address = :address

-- name: twilio_blank_sent
-- Nothing of it may wait: an empty text must not leave.
UPDATE message SET text = '', content = NULL
WHERE id = :message AND run = :client AND NOT EXISTS (
  SELECT 1 FROM outbox o
  WHERE o.queue IN (SELECT q.id FROM queue q WHERE q.brand_id = message.brand_id AND q.run = :client) AND o.id = :message
)

-- name: twilio_blank_came
UPDATE inbound SET text = '' WHERE id = :message AND brand_id = :brand
