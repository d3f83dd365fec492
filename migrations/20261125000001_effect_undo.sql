-- Executor: which effects were asked to be undone, and what came of it. The row is written first, so that what is to be
-- undone can no longer be begun.

CREATE TABLE effect_undos (
    tenant_id text NOT NULL,
    execution_id uuid NOT NULL,
    step_id text NOT NULL,          -- the step whose effect is undone, not the one that asks for it
    visit integer NOT NULL CHECK (visit > 0),
    ticket_id text NOT NULL,
    subject_id text NOT NULL,       -- directory object id
    state text NOT NULL CHECK (state IN ('INTENDED', 'DONE')),
    intended_at timestamptz NOT NULL,
    leased_until timestamptz,       -- who undoes, undoes alone
    fence bigint NOT NULL DEFAULT 1, -- one more with every claim; the end names it
    result jsonb,                   -- the answer, for whoever asks again
    ended_at timestamptz,
    -- As in `effects`, which need not have a row for it.
    PRIMARY KEY (tenant_id, execution_id, step_id, visit),
    CHECK ((state = 'INTENDED') = (result IS NULL)),
    CHECK ((state = 'INTENDED') = (ended_at IS NULL)),
    CHECK (state = 'INTENDED' OR leased_until IS NULL)
);

GRANT SELECT, INSERT, UPDATE ON effect_undos TO firstline_executor;
