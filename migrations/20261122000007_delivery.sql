-- Delivery: which credential went out by which message, how far it got, and whom to tell. Never a credential, never a
-- whole phone number.

CREATE TABLE deliveries (
    tenant_id text NOT NULL,
    id uuid NOT NULL,               -- version 7: sorts by time; the operation
    execution_id uuid NOT NULL,
    step_id text NOT NULL,
    visit integer NOT NULL CHECK (visit > 0),
    attempt integer NOT NULL CHECK (attempt > 0),  -- the newest that asked: the signal answers it
    ticket_id text NOT NULL,
    subject_id text NOT NULL,       -- directory object id
    sealed_digest text NOT NULL CHECK (sealed_digest ~ '^[0-9a-f]{64}$'),
    destination text NOT NULL CHECK (destination ~ '^\+[0-9]{1,3}•{5}[0-9]{3}$'),  -- masked
    state text NOT NULL CHECK (state IN ('SENDING', 'SENT', 'ENDED')),
    deadline timestamptz NOT NULL,
    decide_at timestamptz NOT NULL, -- a little before: when what is known has to do
    traceparent text,               -- one ticket is one trace
    intended_at timestamptz NOT NULL,
    leased_until timestamptz,       -- who sends, sends alone
    fence bigint NOT NULL DEFAULT 1, -- one more with every claim; every write names it
    message_id text,                -- Twilio's
    message_status text,            -- the furthest that was seen
    result jsonb,                   -- how it ended
    ended_at timestamptz,
    signalled_at timestamptz,       -- orchestration has acknowledged the result, or was answered it at once
    redacted_at timestamptz,        -- Twilio no longer holds the text
    work_at timestamptz,            -- when there is something to do about it
    tries integer NOT NULL DEFAULT 0, -- of what is being done, in vain so far
    PRIMARY KEY (tenant_id, id),
    -- One message per visit of a step, and one per credential, however often they are asked for.
    UNIQUE (tenant_id, execution_id, step_id, visit),
    UNIQUE (tenant_id, sealed_digest),
    UNIQUE (tenant_id, message_id),
    CHECK ((state = 'SENDING') = (message_id IS NULL) OR state = 'ENDED'),
    CHECK ((state = 'ENDED') = (result IS NOT NULL)),
    CHECK ((state = 'ENDED') = (ended_at IS NOT NULL))
);

CREATE INDEX deliveries_due ON deliveries (tenant_id, work_at) WHERE work_at IS NOT NULL;

GRANT SELECT, INSERT, UPDATE ON deliveries TO firstline_delivery;
