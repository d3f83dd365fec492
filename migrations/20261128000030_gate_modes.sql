-- Earned automation: in which mode a playbook is active, what people said about the gate's decisions, and what an agent
-- is offered to have done.

-- How a version was made the active one; nothing where nobody said.
ALTER TABLE playbooks
    ADD COLUMN activation_id uuid,
    ADD COLUMN mode text CHECK (mode IN ('shadow', 'suggest', 'auto')),
    ADD COLUMN bar double precision CHECK (bar BETWEEN 0.5 AND 0.999),
    ADD COLUMN override_reason text CHECK (override_reason <> ''),
    ADD CHECK (override_reason IS NULL OR mode = 'auto');

GRANT UPDATE (activation_id, mode, bar, override_reason) ON playbooks TO firstline_playbook;

-- What an agent may have done with one press. One a decision; the code itself stands on the ticket and nowhere else.
CREATE TABLE suggestions (
    tenant_id text NOT NULL,
    decision_id uuid NOT NULL,
    ticket_id text NOT NULL,
    code_digest text NOT NULL CHECK (code_digest ~ '^[0-9a-f]{64}$'),   -- SHA-256
    offered_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    approved_at timestamptz,
    execution_request jsonb,        -- exactly what orchestration is asked, once it is approved
    PRIMARY KEY (tenant_id, decision_id),
    UNIQUE (tenant_id, code_digest),
    CHECK ((approved_at IS NULL) = (execution_request IS NULL)),
    FOREIGN KEY (tenant_id, decision_id) REFERENCES classification_results (tenant_id, decision_id)
);

-- Tickets whose end will say whether the gate was right about them.
CREATE TABLE gate_watches (
    tenant_id text NOT NULL,
    ticket_id text NOT NULL,
    decision_id uuid NOT NULL,
    due_at timestamptz,             -- when to look at the ticket; nothing: when the help desk tells of a change
    looks integer NOT NULL DEFAULT 0, -- in vain, since something was told
    leased_until timestamptz,
    PRIMARY KEY (tenant_id, ticket_id),
    FOREIGN KEY (tenant_id, decision_id) REFERENCES classification_results (tenant_id, decision_id)
);

CREATE INDEX gate_watches_due ON gate_watches (tenant_id, due_at) WHERE due_at IS NOT NULL;

-- What is said of a decision, and by what. The last word of each source.
CREATE TABLE gate_outcomes (
    tenant_id text NOT NULL,
    decision_id uuid NOT NULL,
    source text NOT NULL CHECK (source IN ('operator', 'approval', 'closed_ticket')),
    playbook text NOT NULL,
    would_automate boolean NOT NULL, -- nothing spoke against it but perhaps the mode
    verdict text NOT NULL CHECK (verdict IN ('agreed', 'disagreed', 'unclear')),
    reason text NOT NULL,           -- which sign, or an operator's words
    said_by text,                   -- as in audit_events.actor
    at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, decision_id, source),
    FOREIGN KEY (tenant_id, decision_id) REFERENCES classification_results (tenant_id, decision_id)
);

CREATE INDEX gate_outcomes_of_playbook ON gate_outcomes (tenant_id, playbook, decision_id DESC);

-- One verdict a decision: an operator's word before all others, and else a no before a yes.
CREATE VIEW gate_verdicts WITH (security_invoker = true) AS
SELECT DISTINCT ON (tenant_id, playbook, decision_id)
       tenant_id, playbook, decision_id, would_automate, verdict
FROM gate_outcomes
ORDER BY tenant_id, playbook, decision_id DESC, source = 'operator' DESC,
         CASE verdict WHEN 'disagreed' THEN 0 WHEN 'agreed' THEN 1 ELSE 2 END;

-- Automation that was lost, until the playbook is activated anew.
CREATE TABLE gate_fallbacks (
    tenant_id text NOT NULL,
    playbook text NOT NULL,
    activation_id uuid NOT NULL,    -- all zeros: it was active before activations were kept
    reason text NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, playbook, activation_id)
);

GRANT SELECT, INSERT, UPDATE ON suggestions, gate_watches, gate_outcomes TO firstline_classifier;
GRANT SELECT ON gate_verdicts TO firstline_classifier;
GRANT SELECT, INSERT ON gate_fallbacks TO firstline_classifier;
