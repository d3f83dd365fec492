-- The playbook language: what executions are told at their start, documents that call documents, and notes and fields
-- that playbooks write to the ticket themselves.

-- The requester's address, their manager and the playbook's inputs: what templates may show beside the ticket.
ALTER TABLE playbook_executions ADD COLUMN facts jsonb NOT NULL DEFAULT '{}';

-- The documents that a pinned document calls, directly or not: all of them are pinned with it.
ALTER TABLE pinned_playbooks ADD COLUMN calls text[] NOT NULL DEFAULT '{}';

ALTER TABLE ticket_updates DROP CONSTRAINT ticket_updates_kind_check;
ALTER TABLE ticket_updates ADD CONSTRAINT ticket_updates_kind_check
    CHECK (kind IN ('status', 'asked', 'progress', 'resolved', 'escalated', 'story', 'note', 'fields'));
