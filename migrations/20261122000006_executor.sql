-- Executor: the effect ledger (what was meant to be done, and what came of it) and the permits it burnt.

CREATE TABLE effects (
    tenant_id text NOT NULL,
    id uuid NOT NULL,               -- version 7: sorts by time
    execution_id uuid NOT NULL,
    step_id text NOT NULL,
    visit integer NOT NULL CHECK (visit > 0),
    ticket_id text NOT NULL,
    action text NOT NULL,
    subject_id text NOT NULL,       -- directory object id
    parameters_digest text NOT NULL CHECK (parameters_digest ~ '^[0-9a-f]{64}$'),
    permit_id uuid NOT NULL,
    plan jsonb NOT NULL,            -- what exactly was going to be done; no secret, no phone number
    state text NOT NULL CHECK (state IN ('INTENDED', 'DONE', 'FAILED')),
    intended_at timestamptz NOT NULL,
    asked_at timestamptz,           -- when the directory was last asked to act, written before it was
    leased_until timestamptz,       -- who acts, acts alone
    fence bigint NOT NULL DEFAULT 1, -- one more with every claim; every write names it
    made text,                      -- the vendor's id of what was made, for undoing it; not its value
    result jsonb,                   -- the answer; a credential only as ciphertext
    ended_at timestamptz,
    PRIMARY KEY (tenant_id, id),
    -- One effect per visit of a step, however often it is asked for.
    UNIQUE (tenant_id, execution_id, step_id, visit),
    CHECK ((state = 'INTENDED') = (result IS NULL)),
    CHECK ((state = 'INTENDED') = (ended_at IS NULL)),
    CHECK (state = 'INTENDED' OR leased_until IS NULL)
);

CREATE INDEX effects_of_subject ON effects (tenant_id, subject_id, id);

-- A permit is good for one effect. The row is written in the transaction that writes the intent.
CREATE TABLE spent_permits (
    tenant_id text NOT NULL,
    id uuid NOT NULL,
    effect_id uuid NOT NULL,
    spent_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, effect_id) REFERENCES effects (tenant_id, id)
);

GRANT SELECT, INSERT, UPDATE ON effects TO firstline_executor;
-- What is spent stays spent: nobody may change or remove it.
GRANT SELECT, INSERT ON spent_permits TO firstline_executor;
