-- Votes and their running count.

-- name: vote_insert
-- The slot is the number of the phone's votes in the period; of two writers that count alike, the key lets one in.
-- Gives the number of the phone's votes in the period before this one; no row when the limit is reached.
INSERT INTO vote (contest, person, period, slot, brand_id, choice, at, door)
SELECT :contest, :person, :period, count(*), :brand, :choice, :at, :door
FROM vote WHERE contest = :contest AND person = :person AND period = :period
HAVING count(*) FILTER (WHERE at > :since) < :most
ON CONFLICT DO NOTHING
RETURNING slot

-- name: vote_latest
SELECT choice, at FROM vote WHERE contest = :contest AND person = :person AND period = :period
ORDER BY slot DESC LIMIT 1

-- name: vote_oldest
SELECT min(at) FROM vote WHERE contest = :contest AND person = :person AND period = :period AND at > :since

-- name: vote_within
SELECT count(*) FROM vote WHERE contest = :contest AND person = :person AND period = :period AND at > :since

-- name: vote_count
SELECT choice, count(*) FROM vote WHERE contest = :contest GROUP BY choice ORDER BY choice

-- name: ballot_add
INSERT INTO ballot (contest, choice, brand_id, votes) VALUES (:contest, :choice, :brand, :votes)
ON CONFLICT (contest, choice) DO UPDATE SET votes = ballot.votes + excluded.votes

-- name: ballot_list
SELECT choice, votes FROM ballot WHERE contest = :contest ORDER BY choice
