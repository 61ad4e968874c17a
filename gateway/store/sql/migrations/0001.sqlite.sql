-- The first schema. Times are milliseconds since 1970, UTC. Money is millionths of the brand's currency.
-- Every table carries brand_id. Personal data (address, text, raw inbound) lives in person, message and
-- inbound only; what happens is appended elsewhere by id, so that erasure has few places to blank.

CREATE TABLE fact (                      -- small things this business must remember: secret, clock, first apply
  brand_id INTEGER NOT NULL,
  name     TEXT    NOT NULL,
  value    TEXT    NOT NULL,
  PRIMARY KEY (brand_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE config (                    -- every config.yaml that was applied; a run is pinned to one
  brand_id   INTEGER NOT NULL,
  version    INTEGER NOT NULL,
  applied_at INTEGER NOT NULL,
  digest     TEXT    NOT NULL,
  sources    TEXT    NOT NULL,           -- JSON: file name -> text
  PRIMARY KEY (brand_id, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE plan (                      -- what `plan` showed, so that `apply` can hold the launch against it
  brand_id INTEGER NOT NULL,
  id       TEXT    NOT NULL,
  at       INTEGER NOT NULL,
  digest   TEXT    NOT NULL,             -- of the config it was made from
  estimate TEXT    NOT NULL,             -- JSON: campaign -> {audience, sending, parts, cost}
  PRIMARY KEY (brand_id, id)
) STRICT, WITHOUT ROWID;

-- People -------------------------------------------------------------------------------------------------

CREATE TABLE person (
  id         INTEGER PRIMARY KEY,        -- in the order of arrival: campaigns walk the table in this order
  brand_id   INTEGER NOT NULL,
  address    TEXT    NOT NULL,           -- E.164
  country    TEXT    NOT NULL,
  zone       TEXT    NOT NULL,           -- IANA name; hours are held in this zone
  region     TEXT    NOT NULL DEFAULT '',
  language   TEXT    NOT NULL DEFAULT '',
  first_name TEXT    NOT NULL DEFAULT '',
  last_name  TEXT    NOT NULL DEFAULT '',
  city       TEXT    NOT NULL DEFAULT '',
  gender     TEXT    NOT NULL DEFAULT '',
  birthday   TEXT,                       -- ISO date
  attributes TEXT    NOT NULL DEFAULT '{}',
  lat        REAL,                       -- last known position, WGS 84
  lon        REAL,
  seen_at    INTEGER,
  created_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX person_by_address ON person (brand_id, address);

CREATE TABLE person_tag (
  person   INTEGER NOT NULL,
  tag      TEXT    NOT NULL,
  brand_id INTEGER NOT NULL,
  PRIMARY KEY (person, tag)
) STRICT, WITHOUT ROWID;

CREATE TABLE consent (                   -- who says yes to what at this moment; the ledger says how it came
  person   INTEGER NOT NULL,
  program  TEXT    NOT NULL,
  brand_id INTEGER NOT NULL,
  since    INTEGER NOT NULL,
  PRIMARY KEY (person, program)
) STRICT, WITHOUT ROWID;

CREATE TABLE wording (                   -- what a yes was said to, by version and language
  brand_id INTEGER NOT NULL,
  id       INTEGER NOT NULL,
  program  TEXT    NOT NULL,
  language TEXT    NOT NULL,
  text     TEXT    NOT NULL,
  since    INTEGER NOT NULL,
  PRIMARY KEY (brand_id, id),
  UNIQUE (brand_id, program, language, text)
) STRICT, WITHOUT ROWID;

CREATE TABLE ledger (                    -- every change of consent, appended only
  id       INTEGER PRIMARY KEY,
  brand_id INTEGER NOT NULL,
  person   INTEGER NOT NULL,
  program  TEXT    NOT NULL,             -- '' = all programmes of the brand
  change   TEXT    NOT NULL,             -- joined, left, returned
  at       INTEGER NOT NULL,
  source   TEXT    NOT NULL,             -- text, page, import: where it came from
  words    TEXT    NOT NULL DEFAULT '',  -- what the person said
  wording  INTEGER,                      -- what the person was shown
  inbound  INTEGER
) STRICT;
CREATE INDEX ledger_by_person ON ledger (person, id);

CREATE TABLE stop (                      -- who has left; read inside every claim
  person   INTEGER PRIMARY KEY,
  brand_id INTEGER NOT NULL,
  at       INTEGER NOT NULL,
  source   TEXT    NOT NULL
) STRICT;

CREATE TABLE reach (                     -- when each person was last reached, for caps; charged at the claim
  person   INTEGER NOT NULL,
  program  TEXT    NOT NULL,
  brand_id INTEGER NOT NULL,
  times    BLOB    NOT NULL,             -- the last few times, 8 octets each, oldest first
  PRIMARY KEY (person, program)
) STRICT, WITHOUT ROWID;

CREATE TABLE activity (                  -- what a person did: joined, left, replied, voted, given, redeemed
  id       INTEGER PRIMARY KEY,
  brand_id INTEGER NOT NULL,
  person   INTEGER NOT NULL,
  kind     TEXT    NOT NULL,
  subject  TEXT    NOT NULL,             -- the contest, coupon or programme
  at       INTEGER NOT NULL,
  detail   TEXT    NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX activity_by_person ON activity (person, kind, at);

CREATE TABLE dialog (                    -- a question that waits for its answer
  person   INTEGER PRIMARY KEY,
  brand_id INTEGER NOT NULL,
  topic    TEXT    NOT NULL,             -- vote
  subject  TEXT    NOT NULL,             -- the contest
  detail   TEXT    NOT NULL DEFAULT '',
  until    INTEGER NOT NULL
) STRICT;

CREATE TABLE said (                      -- when we last said a thing that must not be said often
  person   INTEGER NOT NULL,
  what     TEXT    NOT NULL,             -- default, help, left
  brand_id INTEGER NOT NULL,
  at       INTEGER NOT NULL,
  PRIMARY KEY (person, what)
) STRICT, WITHOUT ROWID;

-- Out ----------------------------------------------------------------------------------------------------

CREATE TABLE run (                       -- one sending of a campaign
  id         INTEGER PRIMARY KEY,
  brand_id   INTEGER NOT NULL,
  campaign   TEXT    NOT NULL,
  occurrence TEXT    NOT NULL,           -- '1', or the time of a repeated sending
  config     INTEGER NOT NULL,           -- the applied version it is pinned to
  state      TEXT    NOT NULL,           -- waiting, planning, sending, paused, stopping, stopped, done
  resume     TEXT    NOT NULL DEFAULT '',-- the state that `resume` goes back to
  why        TEXT    NOT NULL DEFAULT '',-- why it was paused or stopped
  due        INTEGER NOT NULL,
  until      INTEGER NOT NULL,           -- what has not left by then expires
  checkpoint INTEGER NOT NULL DEFAULT 0, -- the last person planned
  matched    INTEGER NOT NULL DEFAULT 0,
  spent      INTEGER NOT NULL DEFAULT 0, -- price of everything planned so far
  started_at INTEGER,
  planned_at INTEGER,
  ended_at   INTEGER,
  UNIQUE (brand_id, campaign, occurrence)
) STRICT;

CREATE TABLE message (                   -- written once; what happens to it is in event and state
  id          INTEGER PRIMARY KEY,
  brand_id    INTEGER NOT NULL,
  run         INTEGER NOT NULL,          -- 0 = not part of a campaign
  person      INTEGER NOT NULL,
  purpose     TEXT    NOT NULL,          -- marketing, reply
  program     TEXT    NOT NULL,
  channel     TEXT    NOT NULL,
  sender      TEXT    NOT NULL,
  address     TEXT    NOT NULL,
  zone        TEXT    NOT NULL,
  text        TEXT    NOT NULL,
  parts       INTEGER NOT NULL,
  price       INTEGER NOT NULL,          -- of all parts
  valid_until INTEGER NOT NULL,          -- 0 = no end
  repeat      INTEGER NOT NULL,          -- 1 = at least once: sent again when in doubt
  answers     INTEGER NOT NULL           -- the inbound that it answers, or 0
) STRICT;
CREATE INDEX message_by_person ON message (person, id);

CREATE TABLE refusal (                   -- who of the audience gets nothing, and why
  run      INTEGER NOT NULL,
  person   INTEGER NOT NULL,
  brand_id INTEGER NOT NULL,
  reason   TEXT    NOT NULL,
  PRIMARY KEY (run, person)
) STRICT, WITHOUT ROWID;

CREATE TABLE queue (                     -- a line of waiting messages with exactly one owner
  id          INTEGER PRIMARY KEY,
  brand_id    INTEGER NOT NULL,
  channel     TEXT    NOT NULL,
  lane        TEXT    NOT NULL,          -- urgent, bulk
  run         INTEGER NOT NULL,          -- 0 for urgent
  shard       INTEGER NOT NULL,
  active      INTEGER NOT NULL,          -- 0 = paused: not picked
  rate        REAL    NOT NULL,          -- parts a second; 0 = as fast as the channel
  owner       TEXT    NOT NULL,
  epoch       INTEGER NOT NULL,
  lease_until INTEGER NOT NULL,
  UNIQUE (brand_id, channel, lane, run, shard)
) STRICT;

CREATE TABLE outbox (                    -- what waits, in the order of the claim; a row is deleted by its claim
  queue    INTEGER NOT NULL,
  due      INTEGER NOT NULL,
  id       INTEGER NOT NULL,
  brand_id INTEGER NOT NULL,
  person   INTEGER NOT NULL,
  attempt  INTEGER NOT NULL,
  missing  INTEGER NOT NULL,             -- a bit for each part still to be sent; -1 = all
  crashes  INTEGER NOT NULL,
  PRIMARY KEY (queue, due, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE flight (                    -- claimed, not yet answered: bytes may have left
  queue    INTEGER NOT NULL,
  id       INTEGER NOT NULL,
  brand_id INTEGER NOT NULL,
  person   INTEGER NOT NULL,
  attempt  INTEGER NOT NULL,
  missing  INTEGER NOT NULL,
  crashes  INTEGER NOT NULL,
  epoch    INTEGER NOT NULL,
  at       INTEGER NOT NULL,
  PRIMARY KEY (queue, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE event (                     -- what happened to a part of a message, appended only
  n          INTEGER PRIMARY KEY,
  brand_id   INTEGER NOT NULL,
  run        INTEGER NOT NULL,
  message    INTEGER NOT NULL,
  part       INTEGER NOT NULL,           -- -1 = the whole message
  parts      INTEGER NOT NULL,
  state      INTEGER NOT NULL,           -- gateway.messages.State
  at         INTEGER NOT NULL,
  code       TEXT    NOT NULL,
  ref        TEXT    NOT NULL            -- 'channel:carrier id' where the carrier took the part, else ''
) STRICT;

CREATE TABLE state (                     -- the fold of a message's events
  message   INTEGER PRIMARY KEY,
  brand_id  INTEGER NOT NULL,
  run       INTEGER NOT NULL,
  parts     INTEGER NOT NULL,
  sent      INTEGER NOT NULL,            -- a bit for each part the carrier has taken
  delivered INTEGER NOT NULL,            -- a bit for each part delivered
  worst     INTEGER NOT NULL,            -- the highest state of any part that is neither
  state     INTEGER NOT NULL,
  code      TEXT    NOT NULL,
  at        INTEGER NOT NULL
) STRICT;
CREATE INDEX state_in_doubt ON state (message) WHERE state = 10;
CREATE INDEX state_sent ON state (message) WHERE state = 20;

CREATE TABLE ref (                       -- which part a carrier's id names, for receipts that come late
  ref      TEXT    PRIMARY KEY,          -- 'channel:carrier id'
  brand_id INTEGER NOT NULL,
  run      INTEGER NOT NULL,
  message  INTEGER NOT NULL,
  part     INTEGER NOT NULL,
  parts    INTEGER NOT NULL,
  at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE parked (                    -- receipts that fit no message yet; given up after 72 hours
  n          INTEGER PRIMARY KEY,
  brand_id   INTEGER NOT NULL,
  channel    TEXT    NOT NULL,
  refs       TEXT    NOT NULL,           -- JSON: 'channel:carrier id' in every spelling
  fit        TEXT    NOT NULL,           -- hash of channel, sender and recipient, to settle a doubt
  state      INTEGER NOT NULL,
  code       TEXT    NOT NULL,
  at         INTEGER NOT NULL
) STRICT;

CREATE TABLE tally (                     -- how many messages of a run stand where, and what they cost
  run      INTEGER NOT NULL,
  state    INTEGER NOT NULL,
  reason   TEXT    NOT NULL,
  brand_id INTEGER NOT NULL,
  n        INTEGER NOT NULL,
  PRIMARY KEY (run, state, reason)
) STRICT, WITHOUT ROWID;

CREATE TABLE cursor (                    -- how far the journal has been folded
  name     TEXT    PRIMARY KEY,
  brand_id INTEGER NOT NULL,
  n        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- In -----------------------------------------------------------------------------------------------------

CREATE TABLE inbound (                   -- every text that came in; thought = its effects are committed
  id        INTEGER PRIMARY KEY,
  brand_id  INTEGER NOT NULL,
  channel   TEXT    NOT NULL,
  sender    TEXT    NOT NULL,
  recipient TEXT    NOT NULL,
  text      TEXT    NOT NULL,
  person    INTEGER NOT NULL,            -- 0 = a sender that is no phone
  at        INTEGER NOT NULL,
  intent    TEXT    NOT NULL,            -- what was recognised when it was kept: stop, help, ...
  thought   INTEGER NOT NULL,            -- 0 waiting, 1 done, 2 failed: a person must look
  outcome   TEXT    NOT NULL DEFAULT ''  -- one line for `explain`
) STRICT;
CREATE INDEX inbound_waiting ON inbound (id) WHERE thought = 0;
CREATE INDEX inbound_by_person ON inbound (person, id);

CREATE TABLE piece (                     -- pieces of a long text that is not complete yet
  channel   TEXT    NOT NULL,
  sender    TEXT    NOT NULL,
  recipient TEXT    NOT NULL,
  reference INTEGER NOT NULL,
  total     INTEGER NOT NULL,
  number    INTEGER NOT NULL,
  brand_id  INTEGER NOT NULL,
  text      TEXT    NOT NULL,
  at        INTEGER NOT NULL,
  PRIMARY KEY (channel, sender, recipient, reference, total, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE seen (                      -- what the carrier has brought, so that a repeat has one effect
  channel  TEXT    NOT NULL,
  mark     TEXT    NOT NULL,             -- the carrier's id, or a fingerprint where it gives none
  line     INTEGER NOT NULL,             -- the connection that brought it
  at       INTEGER NOT NULL,
  brand_id INTEGER NOT NULL,
  PRIMARY KEY (channel, mark, line, at)
) STRICT, WITHOUT ROWID;

CREATE TABLE line (                      -- connections that carriers bring texts on, and when each last lived
  channel  TEXT    NOT NULL,
  line     INTEGER NOT NULL,
  brand_id INTEGER NOT NULL,
  alive_at INTEGER NOT NULL,
  PRIMARY KEY (channel, line)
) STRICT, WITHOUT ROWID;

-- Contests and coupons -------------------------------------------------------------------------------------

CREATE TABLE vote (                      -- the key decides: one row a person, period and slot
  contest  TEXT    NOT NULL,
  person   INTEGER NOT NULL,
  period   TEXT    NOT NULL,
  slot     INTEGER NOT NULL,
  brand_id INTEGER NOT NULL,
  choice   TEXT    NOT NULL,
  at       INTEGER NOT NULL,
  door     TEXT    NOT NULL,             -- text, page
  PRIMARY KEY (contest, person, period, slot)
) STRICT, WITHOUT ROWID;

CREATE TABLE ballot (                    -- the running count; must equal a recount of vote
  contest  TEXT    NOT NULL,
  choice   TEXT    NOT NULL,
  brand_id INTEGER NOT NULL,
  votes    INTEGER NOT NULL,
  PRIMARY KEY (contest, choice)
) STRICT, WITHOUT ROWID;

CREATE TABLE pool (                      -- how many codes of a coupon are out
  coupon   TEXT    PRIMARY KEY,
  brand_id INTEGER NOT NULL,
  size     INTEGER NOT NULL,
  given    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE coupon (                    -- a code that was given; redeemed_at is set once, by one guarded statement
  code        TEXT    PRIMARY KEY,
  brand_id    INTEGER NOT NULL,
  coupon      TEXT    NOT NULL,
  person      INTEGER NOT NULL,
  run         INTEGER NOT NULL,
  given_at    INTEGER NOT NULL,
  expires_at  INTEGER NOT NULL,
  redeemed_at INTEGER,
  place       TEXT,
  till        TEXT,
  again       INTEGER NOT NULL DEFAULT 0 -- 1 = handed over a second time, by whatever door: it stays with the person
) STRICT, WITHOUT ROWID;
CREATE INDEX coupon_by_person ON coupon (person, coupon);
CREATE INDEX coupon_by_run ON coupon (run, brand_id, redeemed_at) WHERE run <> 0;

CREATE TABLE redemption (                -- each redemption and each undoing, appended only
  id       INTEGER PRIMARY KEY,
  brand_id INTEGER NOT NULL,
  code     TEXT    NOT NULL,
  change   TEXT    NOT NULL,             -- redeemed, undone
  at       INTEGER NOT NULL,
  place    TEXT    NOT NULL,
  till     TEXT    NOT NULL,
  door     TEXT    NOT NULL,             -- text, page
  reason   TEXT    NOT NULL DEFAULT ''
) STRICT;

CREATE TABLE import (                    -- how far a file has been read, so that an import can be resumed
  brand_id INTEGER NOT NULL,
  digest   TEXT    NOT NULL,             -- of the file
  name     TEXT    NOT NULL,
  line     INTEGER NOT NULL,
  counts   TEXT    NOT NULL,             -- JSON
  at       INTEGER NOT NULL,
  PRIMARY KEY (brand_id, digest)
) STRICT, WITHOUT ROWID;

-- What is forgotten by age, and what boards, metrics and `explain` count while everything else goes on: none of it may
-- read a whole table. Each of these grows at its end only, or holds few of the table's rows.
CREATE INDEX seen_by_time ON seen (at);
CREATE INDEX ref_by_time ON ref (at);
CREATE INDEX redemption_by_code ON redemption (code);
CREATE INDEX activity_replied ON activity (brand_id, subject, person) WHERE kind = 'replied';
CREATE INDEX ledger_left ON ledger (brand_id, source) WHERE change = 'left';
