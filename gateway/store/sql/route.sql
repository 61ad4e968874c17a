-- Which number of a pool each person knows. Nothing is written here while no sender has several numbers.

-- name: sticky_among
-- Of a stretch of people, the numbers of ours that each knows, the latest first.
SELECT person, number FROM sticky WHERE person BETWEEN :first AND :last ORDER BY person, at DESC, number

-- name: sticky_put
INSERT INTO sticky (person, number, brand_id, at) VALUES (:person, :number, :brand, :at)
ON CONFLICT (person, number) DO UPDATE
SET at = CASE WHEN excluded.at > sticky.at THEN excluded.at ELSE sticky.at END

-- name: person_line
SELECT line_type, network FROM person WHERE id = :person

-- name: person_line_put
-- For people who were known before numbers were looked at; a campaign that asks fills it in.
UPDATE person SET line_type = :line_type, network = :network WHERE id = :person
