-- Lists of pairs, a person and a time, come as JSON.

-- name: consent_import
INSERT INTO consent (brand_id, person, program, since)
SELECT :brand, (asked.value ->> 0)::bigint, :program, (asked.value ->> 1)::bigint
FROM json_array_elements(:people::json) asked(value)
WHERE NOT EXISTS (SELECT 1 FROM stop s WHERE s.person = (asked.value ->> 0)::bigint)
ON CONFLICT DO NOTHING
RETURNING person

-- name: consent_withdraw
-- A no that is older than the yes that we have does not count.
DELETE FROM consent c USING json_array_elements(:people::json) asked(value)
WHERE c.person = (asked.value ->> 0)::bigint AND c.program = :program AND c.since <= (asked.value ->> 1)::bigint
RETURNING c.person
