-- What is forgotten by age, and what boards, metrics and `explain` count while everything else goes on: none of it may
-- read a whole table. Each of these grows at its end only, or holds few of the table's rows.
CREATE INDEX seen_by_time ON seen (at);
CREATE INDEX ref_by_time ON ref (at);
CREATE INDEX redemption_by_code ON redemption (code);
CREATE INDEX activity_replied ON activity (brand_id, subject, person) WHERE kind = 'replied';
CREATE INDEX ledger_left ON ledger (brand_id, source) WHERE change = 'left';
CREATE INDEX coupon_by_run ON coupon (run, brand_id, redeemed_at) WHERE run <> 0;
