-- Look-ups by client and subject, said so that each stays one whatever is guessed of the table: in the order of the index
-- that shall be used.

-- name: notice_due
-- The first that waits of each subject, so many of each client and door; every client's first before any's second.
-- Parcels may go side by side, and what is told of a text by itself goes after the parcels that were there before it.
SELECT f.id, f.client, CASE WHEN f.subject = 'parcel' THEN CAST(f.target AS BIGINT) ELSE 1 END,
       row_number() OVER (PARTITION BY f.client ORDER BY f.due, f.id) AS place
FROM numbers(:clients) c CROSS JOIN words(:doors) d, LATERAL (
    SELECT n.id, n.client, n.due, n.subject, n.target FROM notice n
    WHERE n.client = c.value AND n.door = d.value AND n.state = 0 AND n.due <= :now
      AND (n.subject = 'parcel'
           OR n.id = (SELECT b.id FROM notice b WHERE b.client = n.client AND b.subject = n.subject AND b.door = n.door
                        AND b.state = 0 ORDER BY b.id LIMIT 1))
      AND (n.door <> 'smpp' OR n.subject NOT LIKE 'm:%'
           OR n.id < coalesce((SELECT b.id FROM notice b WHERE b.client = n.client AND b.subject = 'parcel'
                                 AND b.state = 0 ORDER BY b.id LIMIT 1), n.id + 1))
    ORDER BY n.due LIMIT :most) f
ORDER BY place, f.due, f.id
