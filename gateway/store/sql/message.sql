-- Messages out: written once, then claimed from the outbox and settled.

-- name: message_insert
-- many are alike but for their id, person, phone and text
INSERT INTO message (id, brand_id, run, person, purpose, program, channel, sender, address, zone, text, parts, price,
                     valid_until, repeat, answers)
VALUES (:id, :brand, :run, :person, :purpose, :program, :channel, :sender, :address, :zone, :text, :parts, :price,
        :valid_until, :repeat, :answers)

-- name: message_content_set
-- What it is beyond its letters, in the transaction that keeps the message.
UPDATE message SET content = :content WHERE id = :id

-- name: message_contents
SELECT m.id, m.content FROM numbers(:ids) j CROSS JOIN message m ON m.id = j.value WHERE m.content IS NOT NULL

-- name: message_of
-- The whole message, for explain and the console.
SELECT id, run, purpose, program, channel, sender, address, text, parts, price FROM message WHERE id = :id

-- name: message_route
SELECT channel, sender, address FROM message WHERE id = :id

-- name: message_sizes
-- Whose message it is, of which run, and of how many parts.
SELECT m.id, m.person, m.run, m.parts FROM numbers(:ids) j CROSS JOIN message m ON m.id = j.value

-- name: message_routes
SELECT m.id, m.sender, m.address FROM numbers(:ids) j CROSS JOIN message m ON m.id = j.value

-- name: messages_to_person
SELECT m.id, m.run, m.purpose, m.channel, m.sender, m.text, m.parts, coalesce(s.state, 0), coalesce(s.code, ''),
       coalesce(s.at, 0), m.answers
FROM message m LEFT JOIN state s ON s.message = m.id
WHERE m.person = :person ORDER BY m.id

-- name: outbox_insert
INSERT INTO outbox (queue, due, id, brand_id, person, attempt, missing, crashes)
VALUES (:queue, :due, :id, :brand, :person, :attempt, :missing, :crashes)

-- name: outbox_fill
-- New messages take their place in a queue.
INSERT INTO outbox (queue, due, id, brand_id, person, attempt, missing, crashes)
SELECT :queue, :due, m.id, m.brand_id, m.person, 0, -1, 0 FROM numbers(:ids) j CROSS JOIN message m ON m.id = j.value

-- name: outbox_due
-- Of a queue that is ours and is not paused: of one that is, many thousands may wait that nobody need read.
-- CROSS JOIN and the LEFT JOINs keep the order of the outbox; every look-up is by primary key, and for a
-- campaign they walk in person order, because the planner wrote in person order.
-- packed: 18 columns, each its own: 1 2 10 12
SELECT o.due, o.id, o.person, o.attempt, o.missing, o.crashes, m.run, m.purpose, m.program, m.sender, m.address,
       m.zone, m.text, m.parts, m.valid_until, m.repeat, s.at, octets(r.times)
FROM outbox o CROSS JOIN message m ON m.id = o.id
LEFT JOIN stop s ON s.person = o.person
LEFT JOIN reach r ON r.person = o.person AND r.program = m.program
WHERE o.queue = :queue AND o.due <= :now
  AND EXISTS (SELECT 1 FROM queue q WHERE q.id = :queue AND q.epoch = :epoch AND q.active <> 0)
ORDER BY o.due, o.id LIMIT :limit

-- name: outbox_take
-- What a claim has read in (due, id) order, as the range that it is: here nobody else has written since.
DELETE FROM outbox WHERE queue = :queue AND (due, id) <= (:due, :id)

-- name: outbox_delete_through
-- The same for who is alone in the store.
DELETE FROM outbox WHERE queue = :queue AND (due, id) <= (:due, :id)

-- name: outbox_of_run
SELECT o.queue, o.due, o.id, o.person, m.parts FROM outbox o CROSS JOIN message m ON m.id = o.id
WHERE o.queue = :queue ORDER BY o.due, o.id LIMIT :limit

-- name: flight_next
-- One that was never given: what is late about an older claim must not meet this one.
SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'flight'), 0) + 1

-- name: flight_insert
-- What happens to these messages from now on stands behind `since` in the journal.
INSERT INTO flight (id, queue, brand_id, epoch, at, since, messages)
VALUES (:id, :queue, :brand, :epoch, :now, (SELECT coalesce(max(n), 0) FROM event), :messages)

-- name: flight_delete
DELETE FROM flight WHERE id IN (SELECT value FROM numbers(:ids))

-- name: flight_update
-- Some have landed and their events are on disk; these are still on the way.
UPDATE flight SET messages = :messages, since = (SELECT coalesce(max(n), 0) FROM event) WHERE id = :id

-- name: flight_left
-- What a dead owner had claimed: at most a window and a batch.
SELECT j.value ->> 0, j.value ->> 1, j.value ->> 2, j.value ->> 3, j.value ->> 4, f.since, f.at, m.run, m.parts, m.repeat
FROM flight f CROSS JOIN json_each(f.messages) j CROSS JOIN message m ON m.id = j.value ->> 0
WHERE f.queue = :queue ORDER BY f.id, j.key

-- name: flight_answered
-- Which parts of these messages something was told about behind an event; that a part is to be sent again is no answer.
SELECT message, part, state, n FROM event
WHERE n > :since AND message IN (SELECT value FROM numbers(:ids)) AND NOT (state = 10 AND code = :again)

-- name: flight_clear
DELETE FROM flight WHERE queue = :queue

-- name: reach_put
INSERT INTO reach (person, program, brand_id, times) VALUES (:person, :program, :brand, :times)
ON CONFLICT (person, program) DO UPDATE SET times = excluded.times

-- name: reach_set
-- The same for many people of whom the same is remembered.
INSERT INTO reach (person, program, brand_id, times)
SELECT j.value, :program, :brand, :times FROM numbers(:people) j WHERE true
ON CONFLICT (person, program) DO UPDATE SET times = excluded.times

-- name: reach_among
SELECT r.person, r.program, r.times FROM numbers(:people) j CROSS JOIN reach r ON r.person = j.value

-- name: queue_insert
INSERT INTO queue (id, brand_id, channel, lane, run, shard, active, rate, owner, epoch, lease_until)
VALUES (:id, :brand, :channel, :lane, :run, :shard,
        coalesce((SELECT min(active) FROM queue WHERE brand_id = :brand AND run = :run AND run <> 0), 1), :rate, '', 0, 0)
ON CONFLICT (brand_id, channel, lane, run, shard) DO NOTHING

-- name: queue_find
SELECT id FROM queue WHERE brand_id = :brand AND channel = :channel AND lane = :lane AND run = :run AND shard = :shard

-- name: queue_list
SELECT id, channel, lane, run, shard, active, rate, epoch FROM queue WHERE brand_id = :brand ORDER BY id

-- name: queue_take
UPDATE queue SET owner = :owner, epoch = epoch + 1 WHERE id = :queue RETURNING epoch

-- name: queue_state
SELECT epoch, active FROM queue WHERE id = :queue

-- name: queue_set_active
UPDATE queue SET active = :active WHERE brand_id = :brand AND run = :run

-- name: queue_drop
DELETE FROM queue WHERE id = :queue

-- name: tally_add
INSERT INTO tally (run, state, reason, brand_id, n) VALUES (:run, :state, :reason, :brand, :n)
ON CONFLICT (run, state, reason) DO UPDATE SET n = tally.n + excluded.n

-- name: tally_of_run
SELECT state, reason, n FROM tally WHERE run = :run AND n <> 0 ORDER BY state, reason

-- name: refusals_of_run
SELECT reason, n FROM refused WHERE run = :run ORDER BY reason
