-- What is on the way is kept by claim instead of by message: one row in, one row out, for a thousand texts.

ALTER TABLE flight RENAME TO flight_of_message;

CREATE TABLE flight (                    -- claimed together, and not answered for every part: bytes may have left
  id       INTEGER PRIMARY KEY AUTOINCREMENT,
  queue    INTEGER NOT NULL,
  brand_id INTEGER NOT NULL,
  epoch    INTEGER NOT NULL,
  at       INTEGER NOT NULL,
  since    INTEGER NOT NULL,             -- the last event before the claim: what was answered is told by those behind it
  messages TEXT    NOT NULL              -- JSON: [id, person, attempt, missing, crashes] of each
) STRICT;
CREATE INDEX flight_by_queue ON flight (queue);

INSERT INTO flight (queue, brand_id, epoch, at, since, messages)
SELECT queue, brand_id, epoch, max(at), (SELECT coalesce(max(n), 0) FROM event),
       json_group_array(json_array(id, person, attempt, missing, crashes))
FROM flight_of_message GROUP BY queue, brand_id, epoch;

DROP TABLE flight_of_message;

-- Unknown is as final as failed: only delivered corrects it, so it stands above all others that are not delivered.
UPDATE state SET state = 44 WHERE state = 30;
UPDATE state SET worst = 44 WHERE worst = 30;
UPDATE event SET state = 44 WHERE state = 30;
UPDATE tally SET state = 44 WHERE state = 30;

-- Also messages that were sent again after a doubt: a receipt without a known id may be of their first copy.
CREATE INDEX state_doubted ON state (message) WHERE worst = 10;
