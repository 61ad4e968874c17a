-- A code that was handed over a second time, by whatever door, stays with the person.
ALTER TABLE coupon ADD COLUMN again INTEGER NOT NULL DEFAULT 0;
