-- Operators: executions that stand still or are cancelled, and the switches that hold many at once. Whatever stands still
-- is let go by whichever replica finds that nothing holds it any more.

ALTER TABLE playbook_executions
    ADD COLUMN paused_at timestamptz,       -- an operator wants no step of it to begin
    ADD COLUMN paused_by text,              -- their name
    ADD COLUMN paused_because text,
    ADD COLUMN cancelled text,              -- who wants it ended and why, until it has; for people
    ADD COLUMN held boolean NOT NULL DEFAULT false,     -- let go of while it stood still: nobody else will wake it
    ADD COLUMN insisted boolean NOT NULL DEFAULT false, -- an operator wants to know whether the outside is back
    ADD CHECK ((paused_at IS NULL) = (paused_by IS NULL)),
    ADD CHECK (paused_because IS NULL OR paused_at IS NOT NULL);

CREATE INDEX playbook_executions_standing_still ON playbook_executions (tenant_id) WHERE held;

-- A row is there while its switch is off.
CREATE TABLE switches (
    tenant_id text NOT NULL,        -- empty, which no tenant is called, for the global one
    scope text NOT NULL CHECK (scope IN ('global', 'tenant', 'playbook')),
    name text NOT NULL,             -- of the playbook; else empty
    off_since timestamptz NOT NULL,
    off_by text NOT NULL,           -- the name of whoever did it
    reason text NOT NULL,
    PRIMARY KEY (tenant_id, scope, name),
    CHECK ((scope = 'global') = (tenant_id = '')),
    CHECK ((scope = 'playbook') = (name <> ''))
);

ALTER TABLE ticket_updates DROP CONSTRAINT ticket_updates_kind_check;
ALTER TABLE ticket_updates ADD CONSTRAINT ticket_updates_kind_check
    CHECK (kind IN (
        'status', 'asked', 'progress', 'resolved', 'escalated', 'story', 'note', 'fields', 'operated', 'held'
    ));

GRANT SELECT, INSERT, DELETE ON switches TO firstline_orchestration;
