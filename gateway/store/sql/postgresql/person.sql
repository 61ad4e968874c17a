-- People on paper.

-- name: person_export
SELECT p.id, p.address, p.zone, p.language, p.first_name, p.last_name, p.city, p.gender, p.birthday, p.attributes,
       p.lat, p.lon, p.seen_at,
       (SELECT coalesce(json_agg(t.tag ORDER BY t.tag), '[]')::text FROM person_tag t WHERE t.person = p.id),
       (SELECT coalesce(json_agg(c.program ORDER BY c.program), '[]')::text FROM consent c WHERE c.person = p.id),
       (SELECT min(c.since) FROM consent c WHERE c.person = p.id), s.at
FROM person p LEFT JOIN stop s ON s.person = p.id
WHERE +p.brand_id = :brand AND p.id > :after ORDER BY p.id LIMIT :limit
