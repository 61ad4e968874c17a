-- Programs as clients: who they are, what they asked us to send, and what they are to be told.

CREATE TABLE client (
  id       INTEGER PRIMARY KEY,          -- also the run of its messages: so it has queues, sums and a pace of its own
  brand_id INTEGER NOT NULL,
  name     TEXT    NOT NULL,
  UNIQUE (brand_id, name)
) STRICT;

CREATE TABLE client_key (
  id       TEXT    PRIMARY KEY,          -- the part of the key that may be shown
  brand_id INTEGER NOT NULL,
  client   INTEGER NOT NULL,
  kind     TEXT    NOT NULL,             -- live, test, smpp
  scopes   TEXT    NOT NULL,             -- JSON, a list
  hash     TEXT    NOT NULL,
  label    TEXT    NOT NULL,
  made_at  INTEGER NOT NULL,
  ended_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE submission (                -- a text that a client asked for
  client    INTEGER NOT NULL,
  message   INTEGER NOT NULL,
  brand_id  INTEGER NOT NULL,
  test      INTEGER NOT NULL,            -- 1: by a test key, so nothing leaves
  reference TEXT    NOT NULL,            -- the client's own words for it
  callback  TEXT    NOT NULL,            -- JSON: by which door its fate is told, and where; empty: by none of its own
  PRIMARY KEY (client, message)
) STRICT, WITHOUT ROWID;

CREATE TABLE idem (                      -- answers that a client gets again for the same idempotency key
  client   INTEGER NOT NULL,
  key      TEXT    NOT NULL,
  brand_id INTEGER NOT NULL,
  digest   TEXT    NOT NULL,             -- of the body
  result   TEXT    NOT NULL,             -- JSON
  at       INTEGER NOT NULL,
  PRIMARY KEY (client, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idem_by_time ON idem (at);

CREATE TABLE notice (                    -- what a client is to be told
  id       INTEGER PRIMARY KEY,
  brand_id INTEGER NOT NULL,
  client   INTEGER NOT NULL,
  door     TEXT    NOT NULL,             -- webhook, twilio, kannel, smpp
  kind     TEXT    NOT NULL,             -- message.delivered, say
  subject  TEXT    NOT NULL,             -- what is told of one subject is told in its order
  at       INTEGER NOT NULL,
  body     TEXT    NOT NULL,             -- JSON, the same for all doors
  target   TEXT    NOT NULL,             -- JSON: where to, and what the door needs; empty: the client's webhook
  due      INTEGER NOT NULL,
  tries    INTEGER NOT NULL,
  state    INTEGER NOT NULL,             -- 0 waits, 1 told, 2 given up, 3 kept for who asks
  trouble  TEXT    NOT NULL
) STRICT;
CREATE INDEX notice_waiting ON notice (door, client, due) WHERE state = 0;
CREATE INDEX notice_before ON notice (client, subject, id) WHERE state = 0;
CREATE INDEX notice_by_client ON notice (client, id);

CREATE TABLE fragment (                  -- pieces of a long text that a client brings one by one (SMPP)
  client    INTEGER NOT NULL,
  sender    TEXT    NOT NULL,
  recipient TEXT    NOT NULL,
  reference INTEGER NOT NULL,
  total     INTEGER NOT NULL,
  number    INTEGER NOT NULL,
  brand_id  INTEGER NOT NULL,
  id        INTEGER NOT NULL,            -- as which we acknowledged it
  text      TEXT    NOT NULL,
  at        INTEGER NOT NULL,
  callback  TEXT    NOT NULL,
  PRIMARY KEY (client, sender, recipient, reference, total, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX fragment_by_time ON fragment (at);
