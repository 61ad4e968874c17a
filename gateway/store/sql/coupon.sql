-- Coupons: the pool of codes, who has which, and what the tills did.

-- name: pool_put
INSERT INTO pool (coupon, brand_id, size, given) VALUES (:coupon, :brand, :size, 0)
ON CONFLICT (coupon) DO UPDATE SET size = excluded.size

-- name: pool_take
UPDATE pool SET given = given + :count WHERE coupon = :coupon AND given + :count <= size

-- name: pool_left
-- Fewer than none are left when the file was changed to less than are out.
SELECT size - given FROM pool WHERE coupon = :coupon AND given < size

-- name: pool_return
UPDATE pool SET given = given - :count WHERE coupon = :coupon

-- name: pool_of
SELECT size, given FROM pool WHERE coupon = :coupon

-- name: coupon_held
-- Everyone who asks, with the codes that they have, the oldest first.
SELECT p.id, p.zone, coalesce(c.code, ''), coalesce(c.expires_at, 0), c.redeemed_at, coalesce(c.place, '')
FROM numbers(:people) asking CROSS JOIN person p ON p.id = asking.value
LEFT JOIN coupon c ON c.person = p.id AND c.coupon = :coupon
ORDER BY p.id, c.given_at, c.code

-- name: coupon_taken
SELECT code FROM coupon WHERE code IN (SELECT value FROM words(:codes))

-- name: coupon_insert
INSERT INTO coupon (code, brand_id, coupon, person, run, given_at, expires_at)
VALUES (:code, :brand, :coupon, :person, :run, :given_at, :expires_at)

-- name: coupon_take_back
DELETE FROM coupon WHERE person IN (SELECT value FROM numbers(:people)) AND coupon = :coupon AND run = :run
  AND redeemed_at IS NULL RETURNING person, code

-- name: coupon_again
UPDATE coupon SET again = 1 WHERE code IN (SELECT value FROM words(:codes)) AND again = 0

-- name: coupon_unsent
-- Codes in campaign texts that ended in this stretch of the journal (states 40 to 43), no part taken by the carrier.
SELECT c.coupon, c.code, c.person
FROM (SELECT DISTINCT message FROM event WHERE n > :after AND n <= :until AND run <> 0 AND state BETWEEN 40 AND 43) e
CROSS JOIN state s ON s.message = e.message AND s.sent = 0 AND s.state BETWEEN 40 AND 43
CROSS JOIN message m ON m.id = e.message
CROSS JOIN coupon c ON c.person = m.person AND c.run = m.run
WHERE c.redeemed_at IS NULL AND c.again = 0

-- name: coupon_delete
DELETE FROM coupon WHERE code IN (SELECT value FROM words(:codes))

-- name: coupon_find
SELECT code, coupon, person, given_at, expires_at, redeemed_at, place, till FROM coupon
WHERE code = :code AND brand_id = :brand

-- name: coupon_of_person
SELECT code, coupon, person, given_at, expires_at, redeemed_at, place, till FROM coupon
WHERE person = :person ORDER BY given_at, code

-- name: coupon_redeem
-- The one statement that redeems: whoever finds redeemed_at empty sets it.
UPDATE coupon SET redeemed_at = :now, place = :place, till = :till
WHERE code = :code AND brand_id = :brand AND redeemed_at IS NULL AND expires_at >= :now
  AND coupon IN (SELECT value FROM words(:coupons))
RETURNING coupon, person

-- name: coupon_undo
UPDATE coupon SET redeemed_at = NULL, place = NULL, till = NULL
WHERE code = :code AND brand_id = :brand AND place = :place AND redeemed_at >= :since
RETURNING coupon, person

-- name: redemption_insert
INSERT INTO redemption (brand_id, code, change, at, place, till, door, reason)
VALUES (:brand, :code, :change, :at, :place, :till, :door, :reason)

-- name: redemption_of_code
SELECT change, at, place, till, door, reason FROM redemption WHERE code = :code ORDER BY id
