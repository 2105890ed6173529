-- What a command of the audit changed: an object's body before and after, NULL
-- where there was or is none.

CREATE TABLE audit_changes (
    command {{.Text}} NOT NULL,
    kind    {{.Text}} NOT NULL,
    name    {{.Text}} NOT NULL,
    before  {{.Text}},
    after   {{.Text}},
    secret  BIGINT NOT NULL DEFAULT 0, -- 1: its secret was stored or replaced
    PRIMARY KEY (command, kind, name)
);
CREATE INDEX audit_changes_of_object ON audit_changes (name, kind);
CREATE INDEX audit_of_object ON audit (object);
