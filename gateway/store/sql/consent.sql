-- Who says yes to what, who has left, how it came, and what they were shown.

-- name: wording_keep
INSERT INTO wording (brand_id, id, program, language, text, since) VALUES (:brand, :id, :program, :language, :text, :since)
ON CONFLICT DO NOTHING

-- name: wording_find
SELECT id FROM wording WHERE brand_id = :brand AND program = :program AND language = :language AND text = :text

-- name: consent_join
-- Touches no row for a person who is in already, or who has left.
INSERT INTO consent (brand_id, person, program, since) SELECT :brand, :person, :program, :since
WHERE NOT EXISTS (SELECT 1 FROM stop WHERE person = :person)
ON CONFLICT DO NOTHING

-- name: consent_import
INSERT INTO consent (brand_id, person, program, since)
SELECT :brand, asked.value ->> 0, :program, asked.value ->> 1
FROM json_each(:people) asked WHERE NOT EXISTS (SELECT 1 FROM stop s WHERE s.person = asked.value ->> 0)
ON CONFLICT DO NOTHING
RETURNING person

-- name: consent_withdraw
-- A no that is older than the yes that we have does not count.
DELETE FROM consent WHERE program = :program AND (person, program) IN (
    SELECT c.person, c.program FROM json_each(:people) asked
    CROSS JOIN consent c ON c.person = asked.value ->> 0 AND c.program = :program
    WHERE c.since <= asked.value ->> 1)
RETURNING person

-- name: consent_end
DELETE FROM consent WHERE person = :person RETURNING program

-- name: consent_list
SELECT program, since FROM consent WHERE person = :person ORDER BY since, program

-- name: ledger_insert
INSERT INTO ledger (brand_id, person, program, change, at, source, words, wording, inbound)
VALUES (:brand, :person, :program, :change, :at, :source, :words, :wording, :inbound)

-- name: ledger_of_person
SELECT l.program, l.change, l.at, l.source, l.words, coalesce(w.text, ''), l.inbound
FROM ledger l LEFT JOIN wording w ON w.brand_id = l.brand_id AND w.id = l.wording
WHERE l.person = :person ORDER BY l.id

-- name: stop_insert
INSERT INTO stop (person, brand_id, at, source) VALUES (:person, :brand, :at, :source) ON CONFLICT DO NOTHING

-- name: stop_delete
DELETE FROM stop WHERE person = :person RETURNING at

-- name: stop_get
SELECT at FROM stop WHERE person = :person

-- name: stop_count
SELECT count(*) FROM stop WHERE person IN (SELECT value FROM numbers(:people))

-- name: stop_follows
-- Whether this person left after a text, by a later one or another way: a START thought about late must not undo it.
SELECT EXISTS (SELECT 1 FROM inbound
               WHERE person = :person AND id > :inbound AND intent IN ('stop', 'stopped', 'obeyed stop', 'wrong number'))
    OR EXISTS (SELECT 1 FROM stop WHERE person = :person AND at > :at)

-- name: programs_left
-- What a person was in when they left.
SELECT subject FROM activity WHERE person = :person AND kind = 'left' AND at = :at AND subject <> ''
