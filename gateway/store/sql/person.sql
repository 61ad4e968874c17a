-- People: found by phone or id, made at their first text, merged from files, exported.

-- name: person_by_id
SELECT p.id, p.address, p.country, p.zone, p.language, p.first_name, s.at
FROM person p LEFT JOIN stop s ON s.person = p.id WHERE p.id = :person AND p.brand_id = :brand

-- name: person_by_address
SELECT p.id, p.address, p.country, p.zone, p.language, p.first_name, s.at
FROM person p LEFT JOIN stop s ON s.person = p.id WHERE p.brand_id = :brand AND p.address = :address

-- name: person_address
SELECT address FROM person WHERE id = :person

-- name: people_texting
-- Everything about people that answering their texts asks about, in one look-up.
SELECT p.id, p.address, p.country, p.zone, p.language, p.first_name, s.at, d.topic, d.subject, d.detail, d.until
FROM numbers(:people) j CROSS JOIN person p ON p.id = j.value
LEFT JOIN stop s ON s.person = p.id LEFT JOIN dialog d ON d.person = p.id

-- name: person_insert
INSERT INTO person (id, brand_id, address, country, zone, line_type, network, language, created_at)
VALUES (:id, :brand, :address, :country, :zone, :line_type, :network, :language, :created_at)

-- name: person_upsert
-- A later value that is not empty wins; attributes add up; the newer position stays.
INSERT INTO person (id, brand_id, address, country, zone, region, line_type, network, language, first_name, last_name,
                    city, gender, birthday, attributes, lat, lon, seen_at, created_at)
VALUES (:id, :brand, :address, :country, :zone, :region, :line_type, :network, :language, :first_name, :last_name, :city, :gender,
        nullif(:birthday, ''), :attributes, :lat, :lon, :seen_at, :created_at)
ON CONFLICT (brand_id, address) DO UPDATE SET
    zone = CASE WHEN :is_stated <> 0 THEN excluded.zone ELSE person.zone END,
    region = coalesce(nullif(excluded.region, ''), person.region),
    line_type = coalesce(nullif(excluded.line_type, ''), person.line_type),
    network = coalesce(nullif(excluded.network, ''), person.network),
    language = coalesce(nullif(excluded.language, ''), person.language),
    first_name = coalesce(nullif(excluded.first_name, ''), person.first_name),
    last_name = coalesce(nullif(excluded.last_name, ''), person.last_name),
    city = coalesce(nullif(excluded.city, ''), person.city),
    gender = coalesce(nullif(excluded.gender, ''), person.gender),
    birthday = coalesce(excluded.birthday, person.birthday),
    attributes = json_patch(person.attributes, excluded.attributes),
    lat = CASE WHEN excluded.seen_at >= coalesce(person.seen_at, 0) THEN excluded.lat ELSE person.lat END,
    lon = CASE WHEN excluded.seen_at >= coalesce(person.seen_at, 0) THEN excluded.lon ELSE person.lon END,
    seen_at = CASE WHEN excluded.seen_at >= coalesce(person.seen_at, 0) THEN excluded.seen_at ELSE person.seen_at END

-- name: person_ids
SELECT p.id, p.address FROM words(:addresses) a CROSS JOIN person p ON p.address = a.value AND p.brand_id = :brand

-- name: person_export
SELECT p.id, p.address, p.zone, p.language, p.first_name, p.last_name, p.city, p.gender, p.birthday, p.attributes,
       p.lat, p.lon, p.seen_at,
       (SELECT json_group_array(t.tag) FROM person_tag t WHERE t.person = p.id),
       (SELECT json_group_array(c.program) FROM consent c WHERE c.person = p.id),
       (SELECT min(c.since) FROM consent c WHERE c.person = p.id), s.at
FROM person p LEFT JOIN stop s ON s.person = p.id
-- The plus keeps the planner off the index by brand, which would sort the whole table for every page.
WHERE +p.brand_id = :brand AND p.id > :after ORDER BY p.id LIMIT :limit

-- name: tag_add
INSERT INTO person_tag (brand_id, person, tag) VALUES (:brand, :person, :tag) ON CONFLICT DO NOTHING

-- name: import_get
SELECT line, counts FROM import WHERE brand_id = :brand AND digest = :digest

-- name: import_put
INSERT INTO import (brand_id, digest, name, line, counts, at) VALUES (:brand, :digest, :name, :line, :counts, :at)
ON CONFLICT (brand_id, digest) DO UPDATE SET name = excluded.name, line = excluded.line, counts = excluded.counts,
    at = excluded.at

-- name: person_all
SELECT id FROM person ORDER BY id
