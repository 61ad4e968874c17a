-- Lists of pairs, a person and a time, come as JSON.

-- name: stop_list_add
INSERT INTO stop (person, brand_id, at, source)
SELECT (asked.value ->> 0)::bigint, :brand, (asked.value ->> 1)::bigint, 'import'
FROM json_array_elements(:people::json) asked(value)
WHERE NOT EXISTS (SELECT 1 FROM ledger l
                  WHERE l.person = (asked.value ->> 0)::bigint AND l.change = 'returned'
                    AND l.at > (asked.value ->> 1)::bigint)
ON CONFLICT DO NOTHING
RETURNING person

-- name: stop_list_withdraw
DELETE FROM consent c USING json_array_elements(:people::json) asked(value)
WHERE c.person = (asked.value ->> 0)::bigint AND c.program = :program
  AND NOT EXISTS (SELECT 1 FROM ledger l
                  WHERE l.person = c.person AND l.program = c.program AND l.change IN ('joined', 'returned')
                    AND l.at > (asked.value ->> 1)::bigint AND l.source NOT LIKE 'import%')
RETURNING c.person
