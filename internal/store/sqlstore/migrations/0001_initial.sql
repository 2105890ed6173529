-- Times are microseconds since 1970 UTC, 0 for none; truth values are 0 and 1;
-- JSON is text, since nothing is looked up inside it.

CREATE TABLE objects (
    kind    {{.Text}} NOT NULL,
    name    {{.Text}} NOT NULL,
    version BIGINT NOT NULL,
    body    {{.Text}},
    sealed  {{.Blob}},
    PRIMARY KEY (kind, name)
);

CREATE TABLE markers (
    brand    {{.Text}} NOT NULL,
    property {{.Text}} NOT NULL,
    export   {{.Text}} NOT NULL,
    PRIMARY KEY (brand, property)
);

CREATE TABLE runs (
    id         {{.Text}} NOT NULL PRIMARY KEY,
    export     {{.Text}} NOT NULL,
    connection {{.Text}} NOT NULL,
    brand      {{.Text}} NOT NULL,
    plan       BIGINT NOT NULL,
    status     {{.Text}} NOT NULL,
    started_by {{.Text}} NOT NULL DEFAULT '', -- the workflow execution that took it up
    created_at BIGINT NOT NULL,
    started_at BIGINT NOT NULL DEFAULT 0,
    ended_at   BIGINT NOT NULL DEFAULT 0,
    report     {{.Text}},
    request    {{.Text}},
    control    {{.Text}}
);
CREATE INDEX runs_newest ON runs (created_at);
CREATE INDEX runs_of_export ON runs (export, created_at);

CREATE TABLE states (
    run  {{.Text}} NOT NULL,
    name {{.Text}} NOT NULL,
    data {{.Blob}} NOT NULL,
    PRIMARY KEY (run, name)
);

CREATE TABLE blobs (
    run       {{.Text}} NOT NULL,
    kind      {{.Text}} NOT NULL,
    grp       BIGINT NOT NULL,
    seq       BIGINT NOT NULL,
    stored_at BIGINT NOT NULL,
    data      {{.Blob}} NOT NULL,
    PRIMARY KEY (run, kind, grp, seq)
);
CREATE INDEX blobs_by_age ON blobs (kind, stored_at);

CREATE TABLE calls (
    origin      {{.Text}} NOT NULL PRIMARY KEY,
    run         {{.Text}} NOT NULL,
    export      {{.Text}} NOT NULL,
    brand       {{.Text}} NOT NULL,
    batch       BIGINT NOT NULL,
    first       BIGINT NOT NULL,
    contacts    BIGINT NOT NULL,
    is_new      BIGINT NOT NULL, -- of the contacts
    is_changed  BIGINT NOT NULL,
    is_leaver   BIGINT NOT NULL,
    state       {{.Text}} NOT NULL,
    batch_id    {{.Text}} NOT NULL DEFAULT '',
    intended_at BIGINT NOT NULL,
    answered_at BIGINT NOT NULL DEFAULT 0,
    new_ok      BIGINT NOT NULL DEFAULT 0, -- of the verdict
    changed_ok  BIGINT NOT NULL DEFAULT 0,
    leaver_ok   BIGINT NOT NULL DEFAULT 0,
    refused     BIGINT NOT NULL DEFAULT 0,
    verdict     {{.Text}},
    folded      BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX calls_of_run ON calls (run, batch, first, intended_at);
CREATE INDEX calls_unsettled ON calls (brand, intended_at, batch, first) WHERE state IN ('intended', 'answered');
CREATE INDEX calls_unfolded ON calls (brand, run) WHERE folded = 0 AND state <> 'void';

CREATE TABLE ledger_shards (
    export {{.Text}} NOT NULL,
    shard  BIGINT NOT NULL,
    data   {{.Blob}} NOT NULL,
    PRIMARY KEY (export, shard)
);

CREATE TABLE ledger_notes (
    export {{.Text}} NOT NULL PRIMARY KEY,
    note   {{.Blob}} NOT NULL
);

CREATE TABLE budgets (
    brand        {{.Text}} NOT NULL PRIMARY KEY,
    last_slot    BIGINT NOT NULL DEFAULT 0,
    steady_at    BIGINT NOT NULL DEFAULT 0,
    spaced_at    BIGINT NOT NULL DEFAULT 0,
    paused_until BIGINT NOT NULL DEFAULT 0,
    backoff      BIGINT NOT NULL DEFAULT 0, -- microseconds
    lowered      BIGINT NOT NULL DEFAULT 0, -- 0: not lowered
    lowered_at   BIGINT NOT NULL DEFAULT 0
){{.Clustered}};

CREATE TABLE slots (
    brand       {{.Text}} NOT NULL,
    slot        BIGINT NOT NULL,
    taken_at    BIGINT NOT NULL,
    answered_at BIGINT NOT NULL DEFAULT 0,
    free_at     BIGINT NOT NULL,
    PRIMARY KEY (brand, slot)
){{.Clustered}};
CREATE INDEX slots_by_end ON slots (brand, free_at);

CREATE TABLE leases (
    name  {{.Text}} NOT NULL PRIMARY KEY,
    token BIGINT NOT NULL,
    until BIGINT NOT NULL
){{.Clustered}};
CREATE INDEX leases_by_end ON leases (until);

CREATE TABLE turns (
    brand {{.Text}} NOT NULL PRIMARY KEY,
    run   {{.Text}} NOT NULL
){{.Clustered}};

CREATE TABLE commands (
    id           {{.Text}} NOT NULL PRIMARY KEY,
    workflow_run {{.Text}} NOT NULL,
    begun_at     BIGINT NOT NULL
);

CREATE TABLE audit (
    id      {{.Text}} NOT NULL PRIMARY KEY,
    at      BIGINT NOT NULL,
    actor   {{.Text}} NOT NULL,
    command {{.Text}} NOT NULL,
    object  {{.Text}} NOT NULL,
    outcome {{.Text}} NOT NULL,
    detail  {{.Text}}
);
CREATE INDEX audit_by_time ON audit (at);
{{if .IsPostgres}}
-- Blobs are encrypted: trying to compress them only costs time.
ALTER TABLE blobs ALTER COLUMN data SET STORAGE EXTERNAL;
ALTER TABLE states ALTER COLUMN data SET STORAGE EXTERNAL;
ALTER TABLE ledger_shards ALTER COLUMN data SET STORAGE EXTERNAL;
{{end}}
