-- What all services share: the append-only record of who did what.
-- The roles `firstline_{service}` exist before this runs (`firstline migrate` creates them first).

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO
    firstline_classifier, firstline_playbook, firstline_orchestration,
    firstline_verification, firstline_executor, firstline_delivery;

CREATE TABLE audit_events (
    tenant_id text NOT NULL,
    id uuid NOT NULL,               -- version 7: sorts by time
    service text NOT NULL CHECK (
        service IN ('classifier', 'playbook', 'orchestration', 'verification', 'executor', 'delivery')
    ),
    ticket_id text,
    execution_id uuid,
    kind text NOT NULL,             -- dotted, stable: `decision.recorded`, `permit.issued`
    actor text NOT NULL,            -- `service:classifier`, `person:<object id>`, `vendor:teams`
    detail jsonb NOT NULL,          -- no secrets, no ticket text, no phone numbers
    at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id)
);

CREATE INDEX audit_events_of_ticket ON audit_events (tenant_id, ticket_id, id) WHERE ticket_id IS NOT NULL;

-- Every service may add, none may change, remove or read back.
GRANT INSERT ON audit_events TO
    firstline_classifier, firstline_playbook, firstline_orchestration,
    firstline_verification, firstline_executor, firstline_delivery;
