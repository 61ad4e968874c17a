-- Pictures and other files that came with texts: noted with the text, fetched afterwards.

-- name: media_insert
INSERT INTO media (inbound, n, brand_id, channel, url, said, at, due)
VALUES (:inbound, :n, :brand, :channel, :url, :said, :at, :due)

-- name: media_due
SELECT inbound, n, channel, url, said, at, tries FROM media WHERE state = 0 AND due <= :now ORDER BY due LIMIT :limit

-- name: media_kept
UPDATE media SET state = 1, file = :file, kind = :kind, size = :size, trouble = '' WHERE inbound = :inbound AND n = :n

-- name: media_failed
UPDATE media SET state = :state, tries = tries + 1, due = :due, trouble = :trouble WHERE inbound = :inbound AND n = :n

-- name: media_of
SELECT n, state, file, kind, size, trouble FROM media WHERE inbound = :inbound ORDER BY n

-- name: media_named
SELECT file FROM media WHERE state = 1 AND file IN (SELECT value FROM words(:files))

-- name: media_delete
DELETE FROM media WHERE inbound = :inbound

-- name: media_told
SELECT n, said FROM media WHERE inbound = :inbound ORDER BY n
