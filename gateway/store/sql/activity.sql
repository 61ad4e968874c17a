-- What people did, for segments and for `explain`; questions that wait for an answer; what must not be said often.

-- name: activity_insert
INSERT INTO activity (brand_id, person, kind, subject, at, detail)
VALUES (:brand, :person, :kind, :subject, :at, :detail)

-- name: activity_replied
-- A text answers the campaign that last wrote to the phone. Few messages back, so that a busy phone costs no more.
INSERT INTO activity (brand_id, person, kind, subject, at)
WITH wrote AS MATERIALIZED (
  SELECT j.value AS person, (
    SELECT r.campaign FROM (SELECT id, run FROM message WHERE person = j.value ORDER BY id DESC LIMIT 10) m
    JOIN run r ON r.id = m.run ORDER BY m.id DESC LIMIT 1) AS campaign
  FROM numbers(:people) j)
SELECT :brand, person, 'replied', campaign, :at FROM wrote WHERE campaign IS NOT NULL

-- name: activity_remove
DELETE FROM activity WHERE person = :person AND kind = :kind AND subject = :subject AND detail = :detail

-- name: activity_of_person
SELECT kind, subject, at, detail FROM activity WHERE person = :person ORDER BY at, id

-- name: dialog_put
INSERT INTO dialog (person, brand_id, topic, subject, detail, until)
VALUES (:person, :brand, :topic, :subject, :detail, :until)
ON CONFLICT (person) DO UPDATE SET topic = excluded.topic, subject = excluded.subject, detail = excluded.detail,
    until = excluded.until

-- name: dialog_end
DELETE FROM dialog WHERE person = :person

-- name: said_among
SELECT s.person, s.what, s.at FROM numbers(:people) j CROSS JOIN said s ON s.person = j.value

-- name: said_put
INSERT INTO said (person, what, brand_id, at) VALUES (:person, :what, :brand, :at)
ON CONFLICT (person, what) DO UPDATE SET at = excluded.at
