-- Who has proven who they are, for runs that act as somebody.

CREATE TABLE principals (
    subject {{.Text}} NOT NULL PRIMARY KEY,
    name    {{.Text}} NOT NULL UNIQUE,
    role    {{.Text}} NOT NULL,
    groups  {{.Text}} NOT NULL, -- JSON
    seen_at BIGINT NOT NULL,
    revoked BIGINT NOT NULL DEFAULT 0
);
