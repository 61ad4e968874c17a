-- STOPs that people said elsewhere, many at once: each a person and a time.

-- name: stop_list_add
-- Who has texted START here after that time is not stopped by it.
INSERT INTO stop (person, brand_id, at, source)
SELECT asked.value ->> 0, :brand, asked.value ->> 1, 'import' FROM json_each(:people) asked
WHERE NOT EXISTS (SELECT 1 FROM ledger l
                  WHERE l.person = asked.value ->> 0 AND l.change = 'returned' AND l.at > asked.value ->> 1)
ON CONFLICT DO NOTHING
RETURNING person

-- name: stop_list_consents
DELETE FROM consent WHERE person IN (SELECT value FROM numbers(:people)) RETURNING person, program

-- name: stop_list_dialogs
DELETE FROM dialog WHERE person IN (SELECT value FROM numbers(:people))

-- name: stop_list_withdraw
-- Only a later yes of their own outweighs it: the time of an imported one may be that of the import.
DELETE FROM consent WHERE program = :program AND (person, program) IN (
    SELECT c.person, c.program FROM json_each(:people) asked
    CROSS JOIN consent c ON c.person = asked.value ->> 0 AND c.program = :program
    WHERE NOT EXISTS (SELECT 1 FROM ledger l
                      WHERE l.person = c.person AND l.program = c.program AND l.change IN ('joined', 'returned')
                        AND l.at > asked.value ->> 1 AND l.source NOT LIKE 'import%'))
RETURNING person

-- name: stop_list_members
SELECT count(*) FROM consent WHERE program = :program AND person IN (SELECT value FROM numbers(:people))
