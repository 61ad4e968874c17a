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
-- Without the lines of programs, which nobody waits for.
SELECT name, node, epoch FROM lease WHERE name < 'bind:' OR name >= 'bind;' ORDER BY name

-- name: lease_put
-- What is held by node 0 is free.
INSERT INTO lease (name, brand_id, node, epoch, since) VALUES (:name, :brand, :node, :epoch, :since)
ON CONFLICT (name) DO UPDATE SET node = excluded.node, epoch = excluded.epoch, since = excluded.since

-- name: lease_free_of
-- Whatever this member held.
UPDATE lease SET node = 0, epoch = 0 WHERE node = :node AND epoch = :epoch

-- name: lease_free
UPDATE lease SET node = 0, epoch = 0 WHERE name = :name AND node = :node AND epoch = :epoch

-- name: bind_list
-- The lines of programs that anybody holds, the eldest first, with what is in their names ('bind:7:s:' and 24 digits).
SELECT name, CAST(substr(name, 6, length(name) - 32) AS bigint), substr(name, length(name) - 25, 1),
  CASE WHEN node = :node AND epoch = :epoch THEN 1 ELSE 0 END
FROM lease WHERE name >= 'bind:' AND name < 'bind;' AND node <> 0 ORDER BY since, name

-- name: bind_clear
-- What the dead have left.
DELETE FROM lease WHERE name >= 'bind:' AND name < 'bind;' AND node = 0

-- name: bind_delete
DELETE FROM lease WHERE name = :name AND node = :node AND epoch = :epoch

-- name: bind_delete_all
DELETE FROM lease WHERE name >= 'bind:' AND name < 'bind;' AND node = :node AND epoch = :epoch
