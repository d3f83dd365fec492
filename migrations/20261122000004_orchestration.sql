-- Orchestration: executions and their steps, signals, and the outbox to the help desk.
-- One transaction per step changes all of them together; `fence` keeps a runner that overslept from writing.

-- The documents that executions run: a running execution never needs the playbook service again.
CREATE TABLE pinned_playbooks (
    tenant_id text NOT NULL,
    digest text NOT NULL CHECK (digest ~ '^[0-9a-f]{64}$'),
    name text NOT NULL,
    version text NOT NULL,
    source text NOT NULL,           -- the exact bytes the digest is over
    pinned_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, digest)
);

-- Who is driving. One row and one heartbeat per process, however many executions it holds; a row whose lease has run
-- out gives up what it held to whoever asks first.
CREATE TABLE execution_runners (
    tenant_id text NOT NULL,
    id uuid NOT NULL,
    leased_until timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id)
);

CREATE TABLE playbook_executions (
    tenant_id text NOT NULL,
    id uuid NOT NULL,               -- version 7: sorts by time
    ticket_id text NOT NULL,
    decision_id uuid NOT NULL,
    playbook_name text NOT NULL,
    playbook_version text NOT NULL,
    playbook_digest text NOT NULL,
    subject_id text NOT NULL,       -- directory object id of the requester: the only one acted on
    requester_name text NOT NULL,
    ticket jsonb NOT NULL,          -- what templates may show of the ticket; untrusted
    traceparent text,               -- one ticket is one trace
    status text NOT NULL CHECK (status IN ('QUEUED', 'RUNNING', 'WAITING', 'RESOLVED', 'ESCALATED')),
    reason text,                    -- why a person must take over
    state jsonb NOT NULL,           -- of the machine in `playbook-lang`; holds ciphertext and signed permits, no secret
    wake_at timestamptz,            -- when a runner may take it; none once it ended
    signals bigint NOT NULL DEFAULT 0,  -- how many ever came: tells a runner letting go that one came meanwhile
    parked_since timestamptz,       -- something outside has been away since then
    parked_told boolean NOT NULL DEFAULT false,     -- and the ticket says so
    runner uuid,                    -- who holds it
    fence bigint NOT NULL DEFAULT 0,    -- one more with every claim; every write names it
    started_at timestamptz NOT NULL,
    ended_at timestamptz,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, decision_id),
    FOREIGN KEY (tenant_id, playbook_digest) REFERENCES pinned_playbooks (tenant_id, digest),
    -- A runner that leaves, or is declared dead, lets go of all it held in the same statement.
    FOREIGN KEY (tenant_id, runner) REFERENCES execution_runners (tenant_id, id) ON DELETE SET NULL (runner),
    CHECK ((status IN ('RESOLVED', 'ESCALATED')) = (ended_at IS NOT NULL)),
    CHECK ((ended_at IS NULL) = (wake_at IS NOT NULL)),
    CHECK (ended_at IS NULL OR runner IS NULL),
    CHECK ((status = 'ESCALATED') = (reason IS NOT NULL))
);

CREATE UNIQUE INDEX playbook_executions_one_open_per_ticket
    ON playbook_executions (tenant_id, ticket_id) WHERE ended_at IS NULL;
CREATE INDEX playbook_executions_of_ticket ON playbook_executions (tenant_id, ticket_id, id);
CREATE INDEX playbook_executions_due
    ON playbook_executions (tenant_id, wake_at) WHERE ended_at IS NULL AND runner IS NULL;
CREATE INDEX playbook_executions_held ON playbook_executions (tenant_id, runner) WHERE runner IS NOT NULL;

-- Every call of every step, and the steps that call nobody.
CREATE TABLE playbook_step_executions (
    tenant_id text NOT NULL,
    execution_id uuid NOT NULL,
    step_id text NOT NULL,
    visit integer NOT NULL CHECK (visit > 0),
    attempt integer NOT NULL CHECK (attempt > 0),
    ordinal bigint GENERATED ALWAYS AS IDENTITY,    -- orders the calls of an execution
    name text NOT NULL,
    action text,                    -- `service.action`; none for steps that call nobody
    operation_id uuid,              -- once the service answered that somebody must act first
    asked text,                     -- one sentence: who was asked what, by which channel
    outcome text,                   -- none while it is under way
    explanation text,               -- one sentence: what came of it
    output jsonb NOT NULL,          -- declared values, no secrets
    started_at timestamptz NOT NULL,
    ended_at timestamptz,
    PRIMARY KEY (tenant_id, execution_id, step_id, visit, attempt),
    FOREIGN KEY (tenant_id, execution_id) REFERENCES playbook_executions (tenant_id, id),
    CHECK ((outcome IS NULL) = (ended_at IS NULL))
);

CREATE INDEX playbook_step_executions_in_order
    ON playbook_step_executions (tenant_id, execution_id, ordinal);

-- Results that came later than the call that asked for them. Kept also when they change nothing.
CREATE TABLE execution_signals (
    tenant_id text NOT NULL,
    execution_id uuid NOT NULL,
    operation_id uuid NOT NULL,
    step_id text NOT NULL,
    visit integer NOT NULL,
    attempt integer NOT NULL,
    result jsonb NOT NULL,
    sender text NOT NULL,
    received_at timestamptz NOT NULL,
    effect text CHECK (effect IN ('applied', 'late')),  -- none until a runner has looked at it
    handled_at timestamptz,
    PRIMARY KEY (tenant_id, execution_id, operation_id),
    FOREIGN KEY (tenant_id, execution_id) REFERENCES playbook_executions (tenant_id, id),
    CHECK ((effect IS NULL) = (handled_at IS NULL))
);

-- What the help desk is still to be told, in order per ticket.
CREATE TABLE ticket_updates (
    tenant_id text NOT NULL,
    ticket_id text NOT NULL,
    position bigint GENERATED ALWAYS AS IDENTITY,
    execution_id uuid NOT NULL,
    marker text NOT NULL,           -- stands in the note: how a repeated sending recognises what already arrived
    kind text NOT NULL CHECK (kind IN ('status', 'asked', 'progress', 'resolved', 'escalated', 'story')),
    body jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    settled text CHECK (settled IN ('sent', 'refused')),    -- none while it is due
    settled_at timestamptz,
    PRIMARY KEY (tenant_id, ticket_id, position),
    FOREIGN KEY (tenant_id, execution_id) REFERENCES playbook_executions (tenant_id, id),
    CHECK ((settled IS NULL) = (settled_at IS NULL))
);

CREATE INDEX ticket_updates_due ON ticket_updates (tenant_id, ticket_id, position) WHERE settled IS NULL;

-- One row per ticket that ever had an update: whose turn it is, and whether its last sending was heard of.
-- Kept when nothing is due: a sender that overslept must never meet its own fence again.
CREATE TABLE ticket_outboxes (
    tenant_id text NOT NULL,
    ticket_id text NOT NULL,
    wake_at timestamptz,            -- when a sender may take it: its turn, or while held the end of the lease
    held boolean NOT NULL DEFAULT false,
    fence bigint NOT NULL DEFAULT 0,    -- one more with every claim
    enqueued bigint NOT NULL DEFAULT 0, -- how many updates ever came: tells a sender letting go that one came meanwhile
    doubt boolean NOT NULL DEFAULT false,   -- something was sent and nothing heard: look before repeating
    failures integer NOT NULL DEFAULT 0,    -- in a row; sets the next wait
    PRIMARY KEY (tenant_id, ticket_id),
    CHECK (NOT held OR wake_at IS NOT NULL)
);

CREATE INDEX ticket_outboxes_due ON ticket_outboxes (tenant_id, wake_at) WHERE wake_at IS NOT NULL;

GRANT SELECT, INSERT ON pinned_playbooks TO firstline_orchestration;
GRANT SELECT, INSERT, UPDATE, DELETE ON execution_runners TO firstline_orchestration;
GRANT SELECT, INSERT, UPDATE ON playbook_executions TO firstline_orchestration;
GRANT SELECT, INSERT, UPDATE ON playbook_step_executions TO firstline_orchestration;
GRANT SELECT, INSERT, UPDATE ON execution_signals TO firstline_orchestration;
GRANT SELECT, INSERT, UPDATE ON ticket_updates TO firstline_orchestration;
GRANT SELECT, INSERT, UPDATE, DELETE ON ticket_outboxes TO firstline_orchestration;
