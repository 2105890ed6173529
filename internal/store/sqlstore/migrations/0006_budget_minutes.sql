-- What each brand's budget was spent on in the last hour, by minute.
CREATE TABLE budget_minutes (
    brand   {{.Text}} NOT NULL,
    minute  BIGINT NOT NULL, -- microseconds, at its start
    calls   BIGINT NOT NULL,
    refused BIGINT NOT NULL, -- answers with status 429
    granted BIGINT NOT NULL, -- the limit in force
    PRIMARY KEY (brand, minute)
){{.Clustered}};
