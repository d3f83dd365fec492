-- Who had a suggestion carried out, where they proved it; a link alone names nobody.

ALTER TABLE suggestions
    ADD COLUMN approved_by text CHECK (approved_by <> ''),  -- as in audit_events.actor
    ADD CHECK (approved_by IS NULL OR approved_at IS NOT NULL);
