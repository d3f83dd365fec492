-- Classifier: what the help desk told us, how far each ticket has come, and every decision with all its reasons.

-- A hint that something happened to a ticket. Told twice, kept once.
CREATE TABLE ticket_events (
    tenant_id text NOT NULL,
    id uuid NOT NULL,               -- version 7: sorts by time
    ticket_id text NOT NULL,
    source text NOT NULL CHECK (source IN ('CREATED', 'UPDATED', 'POLL', 'ASKED')),
    delivery_id text,               -- the vendor's, where there is one
    deduplication_key text NOT NULL, -- ticket, event, time
    event text NOT NULL,            -- the vendor's phrase in lower case; empty where there is none
    agent_id bigint,                -- who caused it, where it says so
    occurred_at timestamptz,
    received_at timestamptz NOT NULL,
    taken text NOT NULL CHECK (taken IN ('WORK', 'OWN_CHANGE', 'ALREADY_DECIDED')),
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, deduplication_key),
    UNIQUE (tenant_id, delivery_id)
);

-- One row a ticket: the queue of the gate, and where the ticket stands between two of its steps.
CREATE TABLE tickets (
    tenant_id text NOT NULL,
    ticket_id text NOT NULL,
    -- SEEN: to be judged. DECIDED: its custom fields are to be written. MARKED: its execution is to be started.
    -- WITHDRAWN: the execution was refused; the fields are to say `manual`. DONE, UNKNOWN: nothing to do.
    state text NOT NULL CHECK (state IN ('SEEN', 'DECIDED', 'MARKED', 'WITHDRAWN', 'DONE', 'UNKNOWN')),
    decision_id uuid,
    execution_id uuid,
    traceparent text,               -- W3C: one ticket is one trace
    first_seen_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    work_at timestamptz,            -- when there is something to do about it
    patience_until timestamptz,     -- set at the first failure of a source that is not the help desk
    tries integer NOT NULL DEFAULT 0, -- of the step that is next, in vain so far
    waiting_for text,               -- what the last try lacked, for people
    leased_until timestamptz,
    fence bigint NOT NULL DEFAULT 0, -- one more with every claim; every write names it
    PRIMARY KEY (tenant_id, ticket_id),
    CHECK ((state IN ('SEEN', 'UNKNOWN')) = (decision_id IS NULL)),
    CHECK ((state IN ('DONE', 'UNKNOWN')) = (work_at IS NULL)),
    CHECK (execution_id IS NULL OR state = 'DONE')
);

CREATE INDEX tickets_due ON tickets (tenant_id, work_at) WHERE work_at IS NOT NULL;

-- One row a decision; never changed.
CREATE TABLE classification_results (
    tenant_id text NOT NULL,
    decision_id uuid NOT NULL,      -- version 7: sorts by time
    ticket_id text NOT NULL,
    automated boolean NOT NULL,
    category text NOT NULL,
    sub_category text,
    confidence double precision NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    model text NOT NULL,
    prompt_version text NOT NULL,
    reasoning text NOT NULL,
    blockers jsonb NOT NULL CHECK (jsonb_typeof(blockers) = 'array'),
    playbook jsonb,                 -- name, version, digest
    ticket_type_id bigint,          -- the help desk wants both repeated with every update
    client_id bigint,
    requester_id text,              -- directory object id
    manager_id text,                -- directory object id, as it was then; whoever approves is looked up afresh
    execution_request jsonb,        -- exactly what orchestration is asked, however often
    decided_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, decision_id),
    UNIQUE (tenant_id, ticket_id),  -- a ticket is decided once
    CHECK (automated = (blockers = '[]'::jsonb)),
    CHECK (automated = (execution_request IS NOT NULL)),
    CHECK (NOT automated OR (playbook IS NOT NULL AND requester_id IS NOT NULL))
);

ALTER TABLE tickets ADD FOREIGN KEY (tenant_id, decision_id) REFERENCES classification_results (tenant_id, decision_id);

-- How far the catch-up poll of the help desk has come.
CREATE TABLE ticket_polls (
    tenant_id text NOT NULL PRIMARY KEY,
    seen_until timestamptz NOT NULL,
    due_at timestamptz NOT NULL     -- whichever replica claims it moves it on
);

GRANT SELECT, INSERT ON ticket_events TO firstline_classifier;
GRANT SELECT, INSERT, UPDATE ON tickets TO firstline_classifier;
GRANT SELECT, INSERT ON classification_results TO firstline_classifier;
GRANT SELECT, INSERT, UPDATE ON ticket_polls TO firstline_classifier;
