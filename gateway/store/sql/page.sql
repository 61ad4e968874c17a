-- What pages show that nobody else asks for: the board's latest news, and whose phones the handset page offers.

-- name: page_news
-- What people did of late; bounded, since an import or a campaign writes thousands of other rows.
SELECT a.at, a.kind, a.subject, a.detail, p.address
FROM (SELECT id, brand_id, person, kind, subject, at, detail FROM activity ORDER BY id DESC LIMIT 500) a
JOIN person p ON p.id = a.person
WHERE a.brand_id = :brand AND a.detail <> 'import' AND a.kind IN (SELECT value FROM words(:kinds))
ORDER BY a.id DESC LIMIT :limit

-- name: page_unread
-- Texts that a person must look at, among the latest.
SELECT i.at, i.sender, i.text, i.outcome
FROM (SELECT id, brand_id, at, sender, text, outcome, thought, intent FROM inbound ORDER BY id DESC LIMIT 1000) i
WHERE i.brand_id = :brand AND (i.thought = :failed OR i.intent = :intent) ORDER BY i.id DESC LIMIT :limit

-- name: page_phones
SELECT address, country, zone, language, city FROM person WHERE +brand_id = :brand ORDER BY id LIMIT :limit

-- name: page_phone
SELECT address, country, zone, language, city FROM person WHERE brand_id = :brand AND address = :address
