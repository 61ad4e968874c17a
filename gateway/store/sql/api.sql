-- What programs read by the API. Every page walks a bounded number of rows, however few of them fit.

-- name: api_messages
SELECT r.message, m.address, m.sender, m.text, m.parts, m.price, m.channel, m.program, m.valid_until, r.test, r.reference,
       coalesce(s.state, 0), coalesce(s.code, ''), coalesce(s.at, 0), m.content
FROM (SELECT message, test, reference FROM submission
      WHERE client = :client AND message < :before AND message >= :since ORDER BY message DESC LIMIT :walk) r
CROSS JOIN message m ON m.id = r.message LEFT JOIN state s ON s.message = r.message
WHERE r.test = :test AND (:reference = '' OR r.reference = :reference) AND (:to = '' OR m.address = :to)
  AND (:state < 0 OR coalesce(s.state, 0) = :state)
ORDER BY r.message DESC LIMIT :limit

-- name: api_messages_walked
SELECT coalesce(min(message), 0), count(*)
FROM (SELECT message FROM submission
      WHERE client = :client AND message < :before AND message >= :since ORDER BY message DESC LIMIT :walk) r

-- name: api_messages_to
-- The same for one person, whose messages are found at once.
SELECT m.id, m.address, m.sender, m.text, m.parts, m.price, m.channel, m.program, m.valid_until, r.test, r.reference,
       coalesce(s.state, 0), coalesce(s.code, ''), coalesce(s.at, 0), m.content
FROM (SELECT id FROM person WHERE brand_id = :brand AND address = :to) p
CROSS JOIN message m ON m.person = p.id AND m.id < :before AND m.id >= :since
CROSS JOIN submission r ON r.client = :client AND r.message = m.id
LEFT JOIN state s ON s.message = m.id
WHERE r.test = :test AND (:reference = '' OR r.reference = :reference) AND (:state < 0 OR coalesce(s.state, 0) = :state)
ORDER BY m.id DESC LIMIT :limit

-- name: api_message
SELECT r.message, m.address, m.sender, m.text, m.parts, m.price, m.channel, m.program, m.valid_until, r.test, r.reference,
       coalesce(s.state, 0), coalesce(s.code, ''), coalesce(s.at, 0), m.content
FROM submission r CROSS JOIN message m ON m.id = r.message LEFT JOIN state s ON s.message = r.message
WHERE r.client = :client AND r.message = :message AND r.test = :test

-- name: api_event_at
-- The first event from here on: events are in the order of time, near enough, so that a moment is found by halving.
SELECT n, at FROM event WHERE n >= :n ORDER BY n LIMIT 1

-- name: api_events
SELECT part, parts, state, at, code FROM event
WHERE n >= :first AND n <= :last AND message = :message ORDER BY n LIMIT :limit

-- name: api_cancel
-- Only what has never been tried: of anything else a part may have left. The key of a queue begins with when each is due.
DELETE FROM outbox
WHERE queue IN (SELECT id FROM queue WHERE brand_id = :brand AND run = :client AND channel = :channel)
  AND due >= :since AND due <= :until AND id = :message AND attempt = 0 AND missing = -1 AND crashes = 0

-- name: api_state
SELECT state FROM state WHERE message = :message

-- name: api_inbound
SELECT i.id, i.channel, i.sender, i.recipient, i.text, i.person, i.at, i.intent
FROM (SELECT id, brand_id, channel, sender, recipient, text, person, at, intent FROM inbound
      WHERE id < :before AND id >= :since ORDER BY id DESC LIMIT :walk) i
WHERE i.brand_id = :brand AND i.recipient IN (SELECT value FROM words(:numbers)) AND (:sender = '' OR i.sender = :sender)
ORDER BY i.id DESC LIMIT :limit

-- name: api_inbound_walked
SELECT coalesce(min(id), 0), count(*)
FROM (SELECT id FROM inbound WHERE id < :before AND id >= :since ORDER BY id DESC LIMIT :walk) i

-- name: api_inbound_one
SELECT id, channel, sender, recipient, text, person, at, intent FROM inbound
WHERE brand_id = :brand AND id = :inbound AND recipient IN (SELECT value FROM words(:numbers))

-- name: api_media
SELECT m.inbound, m.n, m.kind, m.said, m.size FROM numbers(:ids) j CROSS JOIN media m ON m.inbound = j.value
ORDER BY m.inbound, m.n

-- name: api_subscribers
SELECT p.id, p.address, p.country, p.zone, p.language, p.first_name, p.last_name, p.city, p.gender, p.birthday,
       p.attributes, p.line_type, p.created_at, s.at
FROM (SELECT id FROM person WHERE id > :after ORDER BY id LIMIT :walk) w
CROSS JOIN person p ON p.id = w.id LEFT JOIN stop s ON s.person = p.id
WHERE p.brand_id = :brand AND (:language = '' OR p.language = :language)
  AND (:tag = '' OR EXISTS (SELECT 1 FROM person_tag t WHERE t.person = p.id AND t.tag = :tag))
  AND (:program = '' OR EXISTS (SELECT 1 FROM consent c WHERE c.person = p.id AND c.program = :program))
  AND (:left < 0 OR (CASE WHEN s.at IS NULL THEN 0 ELSE 1 END) = :left)
ORDER BY p.id LIMIT :limit

-- name: api_subscribers_walked
SELECT coalesce(max(id), 0), count(*) FROM (SELECT id FROM person WHERE id > :after ORDER BY id LIMIT :walk) w

-- name: api_subscriber
SELECT p.id, p.address, p.country, p.zone, p.language, p.first_name, p.last_name, p.city, p.gender, p.birthday,
       p.attributes, p.line_type, p.created_at, s.at
FROM person p LEFT JOIN stop s ON s.person = p.id WHERE p.brand_id = :brand AND p.id = :person

-- name: api_tags
SELECT t.person, t.tag FROM numbers(:people) j CROSS JOIN person_tag t ON t.person = j.value ORDER BY t.person, t.tag

-- name: api_programs
SELECT c.person, c.program, c.since FROM numbers(:people) j CROSS JOIN consent c ON c.person = j.value
ORDER BY c.person, c.since, c.program

-- name: api_person_set
UPDATE person SET language = :language, first_name = :first_name, last_name = :last_name, city = :city,
    gender = :gender, birthday = nullif(:birthday, ''), attributes = :attributes
WHERE id = :person AND brand_id = :brand

-- name: api_tags_clear
DELETE FROM person_tag WHERE person = :person

-- name: api_notices
SELECT e.id, e.kind, e.at, e.body, e.state, e.tries, e.trouble
FROM (SELECT id, door, target, kind, at, body, state, tries, trouble FROM notice
      WHERE client = :client AND id < :before AND id > :after ORDER BY id DESC LIMIT :walk) e
WHERE e.door = 'webhook' AND e.target = '' AND (:kind = '' OR e.kind = :kind)
ORDER BY e.id DESC LIMIT :limit

-- name: api_notices_walked
SELECT coalesce(min(id), 0), count(*)
FROM (SELECT id FROM notice WHERE client = :client AND id < :before AND id > :after ORDER BY id DESC LIMIT :walk) e

-- name: api_notices_since
SELECT e.id, e.kind, e.at, e.body, e.state, e.tries, e.trouble
FROM (SELECT id, door, target, kind, at, body, state, tries, trouble FROM notice
      WHERE client = :client AND id > :after ORDER BY id LIMIT :walk) e
WHERE e.door = 'webhook' AND e.target = '' AND (:kind = '' OR e.kind = :kind)
ORDER BY e.id LIMIT :limit

-- name: api_notices_since_walked
SELECT coalesce(max(id), 0), count(*)
FROM (SELECT id FROM notice WHERE client = :client AND id > :after ORDER BY id LIMIT :walk) e

-- name: api_notice
SELECT id, kind, at, body, state, tries, trouble FROM notice WHERE client = :client AND id = :notice AND door = 'webhook'
