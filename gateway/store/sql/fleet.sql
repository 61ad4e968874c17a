-- Which processes live, and what each of them holds.

-- name: member_list
SELECT node, epoch, name, roles, alive_at FROM member ORDER BY node

-- name: member_insert
INSERT INTO member (node, brand_id, epoch, name, roles, alive_at)
VALUES (:node, :brand, :epoch, :name, :roles, :alive_at)

-- name: member_beat
UPDATE member SET alive_at = :now WHERE node = :node AND epoch = :epoch

-- name: member_strike
-- Not one who has spoken up meanwhile.
DELETE FROM member WHERE node = :node AND epoch = :epoch AND alive_at = :alive_at

-- name: member_delete
DELETE FROM member WHERE node = :node AND epoch = :epoch

-- name: lease_list
SELECT name, node, epoch FROM lease ORDER BY name

-- name: lease_put
-- What is held by node 0 is free.
INSERT INTO lease (name, brand_id, node, epoch, since) VALUES (:name, :brand, :node, :epoch, :since)
ON CONFLICT (name) DO UPDATE SET node = excluded.node, epoch = excluded.epoch, since = excluded.since

-- name: lease_free_of
-- Whatever this member held.
UPDATE lease SET node = 0, epoch = 0 WHERE node = :node AND epoch = :epoch

-- name: lease_free
UPDATE lease SET node = 0, epoch = 0 WHERE name = :name AND node = :node AND epoch = :epoch
