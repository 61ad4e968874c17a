-- Small things that a business must remember.

-- name: fact_keep
INSERT INTO fact (brand_id, name, value) VALUES (:brand, :name, :value) ON CONFLICT (brand_id, name) DO NOTHING

-- name: fact_get
SELECT value FROM fact WHERE brand_id = :brand AND name = :name
