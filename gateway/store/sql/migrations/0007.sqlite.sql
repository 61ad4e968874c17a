-- Sums of a run that a report reads instead of counting its messages, which may be millions, or have been dropped.

ALTER TABLE run ADD COLUMN parts       INTEGER NOT NULL DEFAULT 0;  -- of everything planned so far; its price is `spent`
ALTER TABLE run ADD COLUMN unit        INTEGER;                      -- price of a part; NULL where there are several prices
ALTER TABLE run ADD COLUMN taken_parts INTEGER NOT NULL DEFAULT 0;  -- of messages of which a carrier has taken anything
ALTER TABLE run ADD COLUMN taken_cost  INTEGER NOT NULL DEFAULT 0;

UPDATE run SET parts = made.parts, taken_parts = made.taken_parts, taken_cost = made.taken_cost
FROM (
  SELECT m.run, sum(m.parts) AS parts, coalesce(sum(m.parts) FILTER (WHERE s.sent <> 0), 0) AS taken_parts,
         coalesce(sum(m.price) FILTER (WHERE s.sent <> 0), 0) AS taken_cost
  FROM message m LEFT JOIN state s ON s.message = m.id WHERE m.run <> 0 GROUP BY m.run
) made WHERE run.id = made.run;

CREATE TABLE refused (                   -- how many of a run's audience get nothing, by reason; who stands in refusal
  run      INTEGER NOT NULL,
  reason   TEXT    NOT NULL,
  brand_id INTEGER NOT NULL,
  n        INTEGER NOT NULL,
  PRIMARY KEY (run, reason)
) STRICT, WITHOUT ROWID;
INSERT INTO refused (run, reason, brand_id, n) SELECT run, reason, min(brand_id), count(*) FROM refusal GROUP BY run, reason;

-- What a message is beyond its letters: pictures, octets, how it is shown (JSON). NULL for nearly all; where it is not,
-- the second bit of `repeat` says so, which a claim reads anyway.
ALTER TABLE message ADD COLUMN content TEXT;
