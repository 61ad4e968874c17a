-- What is on the way: JSON is read otherwise here, and the last event is known without a look at the journal.

-- name: outbox_take
-- What a claim has read, and nothing else: another may have committed a message since that was due before the last of them.
DELETE FROM outbox o USING unnest(:dues::bigint[], :ids::bigint[]) seen(due, id)
WHERE o.queue = :queue AND o.due = seen.due AND o.id = seen.id

-- name: flight_next
SELECT nextval('flight_id_seq')

-- name: flight_insert
-- What happens to these messages from now on stands behind `since` in the journal.
INSERT INTO flight (id, queue, brand_id, epoch, at, since, messages)
VALUES (:id, :queue, :brand, :epoch, :now, (SELECT last_value FROM event_n), :messages)

-- name: flight_update
-- Some have landed and their events are on disk; these are still on the way.
UPDATE flight SET messages = :messages, since = (SELECT last_value FROM event_n) WHERE id = :id

-- name: flight_left
-- What a dead owner had claimed: at most a window and a batch.
SELECT (j.value ->> 0)::bigint, (j.value ->> 1)::bigint, (j.value ->> 2)::bigint, (j.value ->> 3)::bigint,
       (j.value ->> 4)::bigint, f.since, f.at, m.run, m.parts, m.repeat
FROM flight f CROSS JOIN LATERAL json_array_elements(f.messages::json) WITH ORDINALITY j(value, place)
JOIN message m ON m.id = (j.value ->> 0)::bigint
WHERE f.queue = :queue ORDER BY f.id, j.place
