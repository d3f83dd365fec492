-- verification: who was asked to prove or to allow what, and what they answered.

CREATE TABLE verifications (
    tenant_id text NOT NULL,
    id uuid NOT NULL,
    -- what it was begun for: never changes
    method text NOT NULL CHECK (method IN ('mfa', 'manager')),
    ticket_id text NOT NULL,
    execution_id uuid NOT NULL,
    step_id text NOT NULL,
    visit integer NOT NULL CHECK (visit > 0),
    attempt integer NOT NULL CHECK (attempt > 0),
    subject_id text NOT NULL,
    subject_name text NOT NULL,
    user_principal_name text,       -- what a push is addressed to
    authorizes jsonb,               -- the action, its step and parameters
    approver_id text,
    approver_name text,
    reference text,                 -- names the request on its card; unguessable
    shown jsonb,                    -- what the manager decides on; the permit binds its digest
    asked_at timestamptz NOT NULL,
    deadline timestamptz NOT NULL,
    trace_context text,             -- the ticket's trace goes on with it

    -- where it stands
    state text NOT NULL CHECK (state IN ('open', 'approved', 'denied', 'timed_out', 'impossible')),
    reason text,                    -- why nobody answered or could be asked; `fraud` where a denial reported an attack
    answered_by text,
    channel text CHECK (channel IN ('push', 'teams', 'sms')),
    ended_at timestamptz,

    -- the push
    pushes smallint CHECK (pushes BETWEEN 0 AND 2),
    push_attempts smallint CHECK (push_attempts >= 0),
    push_at timestamptz,            -- open: since; otherwise: due
    push_open boolean NOT NULL DEFAULT false,

    -- the card
    card text CHECK (card IN ('due', 'sending', 'sent', 'off')),
    card_attempts smallint CHECK (card_attempts >= 0),
    card_at timestamptz,            -- when it is to be sent, or to lose its buttons
    card_service_url text,
    card_conversation text,
    card_activity text,
    cards_unconfirmed smallint NOT NULL DEFAULT 0 CHECK (cards_unconfirmed >= 0),

    -- the text message: numbers and codes only as keyed hashes
    sms text CHECK (sms IN ('due', 'sending', 'sent', 'off')),
    sms_attempts smallint CHECK (sms_attempts >= 0),
    sms_at timestamptz,
    sms_count smallint NOT NULL DEFAULT 0 CHECK (sms_count BETWEEN 0 AND 2),
    sms_number_hash text,
    sms_answer_hash text,
    sms_masked text,
    sms_wrong smallint NOT NULL DEFAULT 0 CHECK (sms_wrong >= 0),

    -- the proof: its facts, never the token
    permit_id uuid,
    permit_issued_at timestamptz,
    permit_expires_at timestamptz,

    -- the result on its way to orchestration; NULL: it knows
    signal_attempts smallint CHECK (signal_attempts >= 0),
    signal_at timestamptz,

    -- the queue
    wake_at timestamptz,            -- NULL: nothing is left to do
    leased_until timestamptz,
    fence bigint NOT NULL DEFAULT 0,

    PRIMARY KEY (tenant_id, id),
    -- A visit of a step has one verification, whatever its attempts: asked twice, it is the same one.
    UNIQUE (tenant_id, execution_id, step_id, visit),
    UNIQUE (tenant_id, reference),
    CHECK ((state = 'open') = (ended_at IS NULL)),
    CHECK ((state IN ('approved', 'denied')) = (answered_by IS NOT NULL)),
    CHECK ((state IN ('approved', 'denied')) = (channel IS NOT NULL)),
    CHECK (state NOT IN ('timed_out', 'impossible') OR reason IS NOT NULL),
    CHECK (state <> 'open' OR wake_at IS NOT NULL),
    CHECK (state <> 'open' OR method <> 'mfa' OR (user_principal_name IS NOT NULL AND pushes IS NOT NULL)),
    CHECK (state <> 'open' OR method <> 'manager' OR (card IS NOT NULL AND sms IS NOT NULL)),
    -- No permit without an approval, and none for the manager's own account.
    CHECK (permit_id IS NULL OR (state = 'approved' AND permit_issued_at < permit_expires_at)),
    CHECK (approver_id IS NULL OR approver_id <> subject_id),
    CHECK ((approver_id IS NULL) = (shown IS NULL)),
    CHECK ((approver_id IS NULL) = (reference IS NULL)),
    CHECK (state <> 'approved' OR method <> 'manager' OR answered_by = approver_id),
    CHECK (state <> 'approved' OR method <> 'mfa' OR answered_by = subject_id)
);

CREATE INDEX verifications_due ON verifications (wake_at) WHERE wake_at IS NOT NULL;

-- One prompt at a time on a person's phone: two at once would teach them to press yes.
CREATE UNIQUE INDEX verifications_open_prompt ON verifications (tenant_id, subject_id) WHERE push_open;

-- A code is good for one open request of one number.
CREATE UNIQUE INDEX verifications_open_code ON verifications (tenant_id, sms_answer_hash)
WHERE state = 'open' AND sms_answer_hash IS NOT NULL;

CREATE INDEX verifications_code ON verifications (tenant_id, sms_answer_hash) WHERE sms_answer_hash IS NOT NULL;
CREATE INDEX verifications_number ON verifications (tenant_id, sms_number_hash) WHERE sms_number_hash IS NOT NULL;

-- Text messages that came in: each is answered once, and again in the same words. No text, no number in clear.
CREATE TABLE verification_messages (
    tenant_id text NOT NULL,
    message_id text NOT NULL,       -- the vendor's: `SM...`
    verification_id uuid,           -- the request it answered; NULL: none that we know
    sender_masked text NOT NULL,
    verdict text NOT NULL CHECK (verdict IN ('counted', 'late', 'wrong_code', 'unreadable', 'unknown')),
    reply text NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, message_id)
);

GRANT SELECT, INSERT, UPDATE ON verifications TO firstline_verification;
GRANT SELECT, INSERT ON verification_messages TO firstline_verification;
