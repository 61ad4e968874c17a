-- Who serves this business, and who does what of which only one may do it. One process on SQLite needs neither.

CREATE TABLE member (                    -- processes that serve this business
  node     INTEGER PRIMARY KEY,          -- its ids bear this number
  brand_id INTEGER NOT NULL DEFAULT 0,
  epoch    INTEGER NOT NULL,             -- raised with each new owner of the node: an older one is fenced
  name     TEXT    NOT NULL,
  roles    TEXT    NOT NULL,
  alive_at INTEGER NOT NULL              -- by the clock of the database
) STRICT;

CREATE TABLE lease (                     -- what exactly one member may do
  name     TEXT    PRIMARY KEY,
  brand_id INTEGER NOT NULL DEFAULT 0,
  node     INTEGER NOT NULL,
  epoch    INTEGER NOT NULL,
  since    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A receipt without a known id may be about any message of which a part was in doubt, also when more is known by now.
CREATE INDEX event_doubts ON event (message) WHERE state = 10;
DROP INDEX state_doubted;
