-- Keyed digests of addresses that must not be carried again.

CREATE TABLE forgotten (
    digest {{.Blob}} NOT NULL PRIMARY KEY,
    at     BIGINT NOT NULL
);
CREATE INDEX commands_by_time ON commands (begun_at);
