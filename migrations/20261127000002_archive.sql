-- Retention: executions that ended long ago leave the tables that running ones are driven in. Nothing of them is lost: the
-- whole record stands here as one document, and `firstline archive` writes it out.

CREATE TABLE archived_executions (
    tenant_id text NOT NULL,
    id uuid NOT NULL,               -- version 7: sorts by time
    ticket_id text NOT NULL,
    decision_id uuid NOT NULL,      -- a decision that comes again starts nothing
    ended_at timestamptz NOT NULL,
    archived_at timestamptz NOT NULL DEFAULT now(),
    -- {execution, steps, signals, updates}: the rows as they stood, without the machine's state and its ciphertext
    record jsonb NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, decision_id)
);

CREATE INDEX archived_executions_of_ticket ON archived_executions (tenant_id, ticket_id, id);

GRANT SELECT, INSERT ON archived_executions TO firstline_orchestration;
GRANT DELETE ON playbook_executions, playbook_step_executions, execution_signals, ticket_updates
    TO firstline_orchestration;
