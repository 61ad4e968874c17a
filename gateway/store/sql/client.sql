-- Programs that talk to us, and their keys.

-- name: client_put
INSERT INTO client (id, brand_id, name) VALUES (:id, :brand, :name) ON CONFLICT DO NOTHING

-- name: client_find
SELECT id FROM client WHERE brand_id = :brand AND name = :name

-- name: client_list
SELECT id, name FROM client WHERE brand_id = :brand ORDER BY name

-- name: client_key_put
INSERT INTO client_key (id, brand_id, client, kind, scopes, hash, label, made_at, ended_at)
VALUES (:id, :brand, :client, :kind, :scopes, :hash, :label, :made_at, NULL)

-- name: client_key_live
-- Those that open a door now, the oldest first.
SELECT id, client, kind, scopes, hash, label, made_at, ended_at FROM client_key
WHERE brand_id = :brand AND (ended_at IS NULL OR ended_at > :now)
ORDER BY made_at, id

-- name: client_key_list
SELECT id, client, kind, scopes, hash, label, made_at, ended_at FROM client_key
WHERE brand_id = :brand
ORDER BY made_at, id

-- name: client_key_find
SELECT id, client, kind, scopes, hash, label, made_at, ended_at FROM client_key WHERE brand_id = :brand AND id = :id

-- name: client_key_end
-- An end that is set comes nearer, never farther.
UPDATE client_key SET ended_at = :at
WHERE brand_id = :brand AND id = :id AND (ended_at IS NULL OR ended_at > :at)

-- name: idem_tidy
-- Some :limit of the oldest, and who came in the same millisecond. (A list of keys would be looked up client by client.)
DELETE FROM idem
WHERE at <= coalesce((SELECT at FROM idem WHERE at < :before ORDER BY at LIMIT 1 OFFSET :limit - 1), :before - 1)

-- name: fragment_tidy
DELETE FROM fragment
WHERE at <= coalesce((SELECT at FROM fragment WHERE at < :before ORDER BY at LIMIT 1 OFFSET :limit - 1), :before - 1)

-- name: queue_repace
UPDATE queue SET rate = :rate WHERE brand_id = :brand AND run = :run AND channel = :channel AND lane = :lane AND rate <> :rate
