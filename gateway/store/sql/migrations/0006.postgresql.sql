-- Programs as clients. What each column means stands in 0006.sqlite.sql.

CREATE TABLE client (
  id       bigint PRIMARY KEY,
  brand_id bigint NOT NULL,
  name     text COLLATE "C" NOT NULL,
  UNIQUE (brand_id, name)
);

CREATE TABLE client_key (
  id       text COLLATE "C" PRIMARY KEY,
  brand_id bigint NOT NULL,
  client   bigint NOT NULL,
  kind     text COLLATE "C" NOT NULL,
  scopes   text COLLATE "C" NOT NULL,
  hash     text COLLATE "C" NOT NULL,
  label    text COLLATE "C" NOT NULL,
  made_at  bigint NOT NULL,
  ended_at bigint
);

CREATE TABLE submission (
  client    bigint NOT NULL,
  message   bigint NOT NULL,
  brand_id  bigint NOT NULL,
  test      bigint NOT NULL,
  reference text COLLATE "C" NOT NULL,
  callback  text COLLATE "C" NOT NULL,
  PRIMARY KEY (client, message)
);

CREATE TABLE idem (
  client   bigint NOT NULL,
  key      text COLLATE "C" NOT NULL,
  brand_id bigint NOT NULL,
  digest   text COLLATE "C" NOT NULL,
  result   text COLLATE "C" NOT NULL,
  at       bigint NOT NULL,
  PRIMARY KEY (client, key)
);
CREATE INDEX idem_by_time ON idem (at);

CREATE TABLE notice (
  id       bigint PRIMARY KEY,
  brand_id bigint NOT NULL,
  client   bigint NOT NULL,
  door     text COLLATE "C" NOT NULL,
  kind     text COLLATE "C" NOT NULL,
  subject  text COLLATE "C" NOT NULL,
  at       bigint NOT NULL,
  body     text COLLATE "C" NOT NULL,
  target   text COLLATE "C" NOT NULL,
  due      bigint NOT NULL,
  tries    bigint NOT NULL,
  state    bigint NOT NULL,
  trouble  text COLLATE "C" NOT NULL
);
CREATE INDEX notice_waiting ON notice (door, client, due) WHERE state = 0;
CREATE INDEX notice_before ON notice (client, subject, id) WHERE state = 0;
CREATE INDEX notice_by_client ON notice (client, id);

CREATE TABLE fragment (
  client    bigint NOT NULL,
  sender    text COLLATE "C" NOT NULL,
  recipient text COLLATE "C" NOT NULL,
  reference bigint NOT NULL,
  total     bigint NOT NULL,
  number    bigint NOT NULL,
  brand_id  bigint NOT NULL,
  id        bigint NOT NULL,
  text      text COLLATE "C" NOT NULL,
  at        bigint NOT NULL,
  callback  text COLLATE "C" NOT NULL,
  PRIMARY KEY (client, sender, recipient, reference, total, number)
);
CREATE INDEX fragment_by_time ON fragment (at);
