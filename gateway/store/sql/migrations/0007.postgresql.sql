-- Sums of a run that a report reads. What each column means stands in 0007.sqlite.sql.

ALTER TABLE run ADD COLUMN parts       bigint NOT NULL DEFAULT 0;
ALTER TABLE run ADD COLUMN unit        bigint;
ALTER TABLE run ADD COLUMN taken_parts bigint NOT NULL DEFAULT 0;
ALTER TABLE run ADD COLUMN taken_cost  bigint NOT NULL DEFAULT 0;

SET LOCAL enable_seqscan = on;  -- here everything is read once
SET LOCAL enable_hashjoin = on;
SET LOCAL enable_mergejoin = on;
UPDATE run SET parts = made.parts, taken_parts = made.taken_parts, taken_cost = made.taken_cost
FROM (
  SELECT m.run, sum(m.parts) AS parts, coalesce(sum(m.parts) FILTER (WHERE s.sent <> 0), 0) AS taken_parts,
         coalesce(sum(m.price) FILTER (WHERE s.sent <> 0), 0) AS taken_cost
  FROM message m LEFT JOIN state s ON s.message = m.id WHERE m.run <> 0 GROUP BY m.run
) made WHERE run.id = made.run;

CREATE TABLE refused (
  run      bigint NOT NULL,
  reason   text   COLLATE "C" NOT NULL,
  brand_id bigint NOT NULL,
  n        bigint NOT NULL,
  PRIMARY KEY (run, reason)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
INSERT INTO refused (run, reason, brand_id, n) SELECT run, reason, min(brand_id), count(*) FROM refusal GROUP BY run, reason;
SET LOCAL enable_seqscan = off;
SET LOCAL enable_hashjoin = off;
SET LOCAL enable_mergejoin = off;

-- What a message is beyond its letters: pictures, octets, how it is shown (JSON). NULL for nearly all; where it is not,
-- the second bit of `repeat` says so, which a claim reads anyway.
ALTER TABLE message ADD COLUMN content text COLLATE "C";
