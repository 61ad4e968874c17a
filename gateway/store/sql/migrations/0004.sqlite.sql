-- What routing knows of numbers and keeps of conversations.

ALTER TABLE person ADD COLUMN line_type TEXT NOT NULL DEFAULT '';  -- mobile, landline, ...; '' = not looked at yet
ALTER TABLE person ADD COLUMN network   TEXT NOT NULL DEFAULT '';  -- the network that the digits were given to

CREATE TABLE sticky (                    -- the numbers of our pools that a person has written to or heard from
  person   INTEGER NOT NULL,
  number   TEXT    NOT NULL,
  brand_id INTEGER NOT NULL,
  at       INTEGER NOT NULL,
  PRIMARY KEY (person, number)
) STRICT, WITHOUT ROWID;
