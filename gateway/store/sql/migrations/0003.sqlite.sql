-- Media that came with texts.

CREATE TABLE media (                     -- pictures and other files that came with texts
  inbound  INTEGER NOT NULL,
  n        INTEGER NOT NULL,             -- its place in the text, from 0
  brand_id INTEGER NOT NULL,
  channel  TEXT    NOT NULL,
  url      TEXT    NOT NULL,             -- where the carrier keeps it
  said     TEXT    NOT NULL,             -- the media type that the carrier gave
  at       INTEGER NOT NULL,             -- when the text came
  due      INTEGER NOT NULL,             -- when it is to be fetched next
  tries    INTEGER NOT NULL DEFAULT 0,
  state    INTEGER NOT NULL DEFAULT 0,   -- 0 waiting, 1 kept, 2 given up
  file     TEXT    NOT NULL DEFAULT '',  -- its name in the folder of media
  kind     TEXT    NOT NULL DEFAULT '',  -- the media type that its octets show
  size     INTEGER NOT NULL DEFAULT 0,   -- in octets
  trouble  TEXT    NOT NULL DEFAULT '',  -- why it could not be had, at the last try
  PRIMARY KEY (inbound, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX media_waiting ON media (due) WHERE state = 0;
CREATE INDEX media_file ON media (file) WHERE state = 1;
