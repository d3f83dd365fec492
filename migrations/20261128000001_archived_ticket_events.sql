-- Retention: what the help desk told of tickets that nobody waits for any more leaves the table in which new hints are told
-- apart from old ones. The ticket itself stays, so that a hint that comes again still finds it decided on.

CREATE TABLE archived_ticket_events (
    tenant_id text NOT NULL,
    id uuid NOT NULL,               -- of the event; version 7: sorts by time
    archived_at timestamptz NOT NULL DEFAULT now(),
    record jsonb NOT NULL,          -- the row as it stood
    PRIMARY KEY (tenant_id, id)
);

GRANT INSERT ON archived_ticket_events TO firstline_classifier;
GRANT DELETE ON ticket_events TO firstline_classifier;
