-- Playbooks: every published version, word for word, and which one new executions get.

CREATE TABLE playbooks (
    tenant_id text NOT NULL,
    name text NOT NULL,
    version text NOT NULL,
    digest text NOT NULL CHECK (digest ~ '^[0-9a-f]{64}$'),     -- SHA-256 over the bytes of source
    source text NOT NULL CHECK (octet_length(source) BETWEEN 1 AND 1048576),
    description text NOT NULL,
    category text NOT NULL,
    sub_category text,
    examples text[] NOT NULL,
    active boolean NOT NULL DEFAULT false,
    published_at timestamptz NOT NULL,
    published_by text NOT NULL,     -- as in audit_events.actor
    PRIMARY KEY (tenant_id, name, version)
);

-- One active version per playbook, or none.
CREATE UNIQUE INDEX playbooks_active ON playbooks (tenant_id, name) WHERE active;

-- A published version is immutable: the service itself may change nothing about it but whether it is active.
GRANT SELECT, INSERT ON playbooks TO firstline_playbook;
GRANT UPDATE (active) ON playbooks TO firstline_playbook;
