-- Fragments of segments: each is a condition on the alias p of person. gateway/store/conditions.py joins them.

-- name: born_between
-- Age 17-25 on a day is: born after that day 26 years ago, and not after that day 17 years ago.
p.birthday > :after AND p.birthday <= :until

-- name: lives_in
lower(p.city) IN (SELECT value FROM words(:cities))

-- name: tagged
EXISTS (SELECT 1 FROM person_tag t WHERE t.person = p.id AND t.tag IN (SELECT value FROM words(:tags)))

-- name: attribute_is
p.attributes ->> :attribute IN (SELECT value FROM words(:choices))

-- name: language_is
p.language IN (SELECT value FROM words(:languages))

-- name: gender_is
p.gender IN (SELECT value FROM words(:genders))

-- name: seen_near
-- Flat earth: below 50 km it is right to half a per cent, and it runs on every engine.
-- metres_lat and metres_lon are the lengths of a degree there.
p.seen_at >= :since
AND ((p.lat - :lat) * :metres_lat) * ((p.lat - :lat) * :metres_lat)
  + ((p.lon - :lon) * :metres_lon) * ((p.lon - :lon) * :metres_lon) <= CAST(:radius AS DOUBLE PRECISION) * :radius

-- name: did
EXISTS (SELECT 1 FROM activity a WHERE a.person = p.id AND a.kind = :kind AND a.at >= :since
        AND (:subject = '' OR a.subject = :subject))
