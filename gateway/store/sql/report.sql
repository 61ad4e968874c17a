-- What plan, report, explain, status and the metrics ask for beside the queries of each noun.

-- name: run_among
-- How many of these people belonged to the audience of a run.
SELECT count(*) FROM numbers(:people) asked
WHERE EXISTS (SELECT 1 FROM refusal r WHERE r.run = :run AND r.person = asked.value)
   OR EXISTS (SELECT 1 FROM message m WHERE m.person = asked.value AND m.run = :run)

-- name: run_rename
-- A renamed campaign keeps its run; the text is the same, so the run may follow the version that has the new name.
UPDATE run SET campaign = :name, config = :config WHERE brand_id = :brand AND campaign = :was

-- name: activity_rename
UPDATE activity SET subject = :name WHERE brand_id = :brand AND kind = 'replied' AND subject = :was

-- name: replies_to_campaign
-- People, not texts: who answers twice is one. So they are counted, in the index alone, and only those who answered.
SELECT count(DISTINCT person) FROM activity WHERE brand_id = :brand AND kind = 'replied' AND subject = :campaign

-- name: coupons_of_run
SELECT count(*), count(redeemed_at) FROM coupon WHERE run = :run AND run <> 0 AND brand_id = :brand

-- name: refusals_of_person
SELECT r.campaign, coalesce(r.ended_at, r.planned_at, r.started_at, r.due), f.reason
FROM refusal f JOIN run r ON r.id = f.run WHERE f.person = :person ORDER BY r.id

-- name: votes_of_person
SELECT choice, at, door FROM vote WHERE contest = :contest AND person = :person ORDER BY at

-- name: tally_all
SELECT run <> 0, state, CAST(sum(n) AS BIGINT) FROM tally WHERE brand_id = :brand GROUP BY 1, 2

-- name: ballot_all
SELECT contest, CAST(sum(votes) AS BIGINT) FROM ballot WHERE brand_id = :brand GROUP BY contest

-- name: redemption_count
SELECT change, count(*) FROM redemption WHERE brand_id = :brand GROUP BY change

-- name: left_count
SELECT source, count(*) FROM ledger WHERE brand_id = :brand AND change = 'left' GROUP BY source

-- name: redeemed_of_coupon
SELECT count(*) FROM coupon WHERE brand_id = :brand AND coupon = :coupon AND redeemed_at IS NOT NULL
