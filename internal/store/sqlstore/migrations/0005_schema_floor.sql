-- The oldest schema version that a program may know and still use this store.
-- Migrations are additive, so it stays; one that older programs cannot bear
-- raises it.
CREATE TABLE schema_floor (
    version BIGINT NOT NULL
);
INSERT INTO schema_floor (version) VALUES (1);
