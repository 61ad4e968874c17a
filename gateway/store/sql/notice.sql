-- What clients are to be told: written with what they tell, brought afterwards, in order for each subject.

-- name: notice_insert
INSERT INTO notice (id, brand_id, client, door, kind, subject, at, body, target, due, tries, state, trouble)
VALUES (:id, :brand, :client, :door, :kind, :subject, :at, :body, :target, :due, :tries, :state, :trouble)

-- name: notice_due
-- The first that waits of each subject, so many of each client and door; every client's first before any's second.
-- Parcels may go side by side, and what is told of a text by itself goes after the parcels that were there before it.
SELECT f.id, f.client, CASE WHEN f.subject = 'parcel' THEN CAST(f.target AS BIGINT) ELSE 1 END,
       row_number() OVER (PARTITION BY f.client ORDER BY f.due, f.id) AS place
FROM numbers(:clients) c CROSS JOIN words(:doors) d CROSS JOIN notice f ON f.id IN (
    SELECT n.id FROM notice n
    WHERE n.client = c.value AND n.door = d.value AND n.state = 0 AND n.due <= :now
      AND (n.subject = 'parcel'
           OR NOT EXISTS (SELECT 1 FROM notice b WHERE b.client = n.client AND b.subject = n.subject AND b.id < n.id
                          AND b.door = n.door AND b.state = 0))
      AND (n.door <> 'smpp' OR n.subject NOT LIKE 'm:%'
           OR NOT EXISTS (SELECT 1 FROM notice b WHERE b.client = n.client AND b.subject = 'parcel' AND b.id < n.id
                          AND b.state = 0))
    ORDER BY n.due, n.id LIMIT :most)
ORDER BY place, f.due, f.id

-- name: notice_take
UPDATE notice SET due = :until WHERE id IN (SELECT value FROM numbers(:ids)) AND state = 0
RETURNING id, client, door, kind, subject, at, body, target, tries

-- name: notice_told
-- Those that arrived at once. One that was told meanwhile, by who came after us, stays so.
UPDATE notice SET state = 1, due = 0, tries = tries + 1, trouble = ''
WHERE id IN (SELECT value FROM numbers(:ids)) AND state = 0

-- name: notice_settle
-- What was not tried keeps the trouble of its last try.
UPDATE notice SET state = :state, due = :due, tries = :tries,
    trouble = CASE WHEN :trouble = '' THEN trouble ELSE :trouble END
WHERE id = :id AND state = 0

-- name: notice_renew
UPDATE notice SET due = :until WHERE id IN (SELECT value FROM numbers(:ids)) AND state = 0

-- name: notice_free
-- What a process that is no more had taken, and what would be tried within its lease.
UPDATE notice SET due = :now WHERE id IN (
    SELECT n.id FROM numbers(:clients) c CROSS JOIN words(:doors) d
    CROSS JOIN notice n ON n.client = c.value AND n.door = d.value AND n.state = 0 AND n.due > :now AND n.due <= :until
    LIMIT :limit)

-- name: notice_shrink
-- What is left of a parcel.
UPDATE notice SET body = :body, target = :target, due = :due WHERE id = :id AND state = 0

-- name: notice_split
-- What fell out of a parcel. Who came after us may have found the same.
INSERT INTO notice (id, brand_id, client, door, kind, subject, at, body, target, due, tries, state, trouble)
VALUES (:id, :brand, :client, :door, :kind, :subject, :at, :body, :target, :due, :tries, :state, :trouble)
ON CONFLICT (id) DO NOTHING

-- name: notice_hold
-- What comes after one that was not told waits as long, so that no claim need look at it.
UPDATE notice SET due = :due
WHERE client = :client AND subject = :subject AND door = :door AND state = 0 AND id > :id AND due < :due

-- name: notice_put_off
-- What waits for a place that does not answer.
UPDATE notice SET due = :until WHERE id IN (
    SELECT id FROM notice
    WHERE client = :client AND door = :door AND state = 0 AND due <= :now AND target = :target
    ORDER BY due LIMIT :limit)

-- name: notice_hasten
-- What waited for a place that answers again; `out` are on the way.
UPDATE notice SET due = :now WHERE id IN (
    SELECT id FROM notice
    WHERE client = :client AND door = :door AND state = 0 AND due > :now AND target = :target AND tries <= :tries
      AND id NOT IN (SELECT value FROM numbers(:out))
    ORDER BY due LIMIT :limit)

-- name: notice_abandon
-- What has waited too long for a place that does not answer.
UPDATE notice SET state = 2, trouble = :trouble WHERE id IN (
    SELECT id FROM notice
    WHERE client = :client AND door = :door AND state = 0 AND at < :before AND target = :target
      AND id NOT IN (SELECT value FROM numbers(:out))
    ORDER BY due LIMIT :limit)

-- name: notice_replay_next
-- Those of a span of ids that were told, given up or only kept, in their order.
SELECT id FROM notice
WHERE client = :client AND id > :after AND id < :until AND state <> 0
  AND door IN (SELECT value FROM words(:doors)) AND (:all_kinds = 1 OR kind IN (SELECT value FROM words(:kinds)))
ORDER BY id LIMIT :limit

-- name: notice_replay
UPDATE notice SET state = 0, tries = 0, trouble = '', at = :now, due = :now
WHERE id IN (SELECT value FROM numbers(:ids)) AND state <> 0

-- name: notice_after
SELECT id, client, door, kind, subject, at, body, target, tries, state, due, trouble FROM notice
WHERE client = :client AND id > :after
  AND door IN (SELECT value FROM words(:doors)) AND (:all_kinds = 1 OR kind IN (SELECT value FROM words(:kinds)))
ORDER BY id LIMIT :limit

-- name: notice_before
SELECT id, client, door, kind, subject, at, body, target, tries, state, due, trouble FROM notice
WHERE client = :client AND id < :before
  AND door IN (SELECT value FROM words(:doors)) AND (:all_kinds = 1 OR kind IN (SELECT value FROM words(:kinds)))
ORDER BY id DESC LIMIT :limit

-- name: notice_counts
-- How many there are of each state, and the latest with trouble. What waits is counted however old it is.
SELECT client, door, state, count(*), max(CASE WHEN trouble <> '' THEN id ELSE 0 END) FROM (
    SELECT n.client, n.door, n.state, n.trouble, n.id
    FROM numbers(:clients) c CROSS JOIN notice n ON n.client = c.value AND n.id >= :since AND n.state <> 0
    WHERE n.door IN (SELECT value FROM words(:doors))
    UNION ALL
    SELECT n.client, n.door, n.state, n.trouble, n.id
    FROM numbers(:clients) c CROSS JOIN words(:doors) d
    CROSS JOIN notice n ON n.client = c.value AND n.door = d.value AND n.state = 0) counted
GROUP BY client, door, state ORDER BY client, door, state

-- name: notice_troubles
SELECT id, trouble FROM notice WHERE id IN (SELECT value FROM numbers(:ids))

-- name: notice_tidy
-- What waits is never tidied. The numbers of rows tell nothing of their times, save that ids are made in order.
DELETE FROM notice WHERE id IN (
    SELECT id FROM notice WHERE id < :before AND state <> 0 AND at < :at ORDER BY id LIMIT :limit)
