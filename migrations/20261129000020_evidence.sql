-- Evidence: what the audit names by its digest only stands beside what it is about, so that an export can show it and
-- retention can forget it. See docs/decisions/0050-audit-chain.md.

-- What the note said that told this update (and those settled with it); none where nothing was written on the ticket.
ALTER TABLE ticket_updates
    ADD COLUMN told text,
    ADD CHECK (told IS NULL OR settled = 'sent');

-- What the directory said of the person before it was asked, and of what was made afterwards. No secret, no whole number.
ALTER TABLE effects
    ADD COLUMN state_before jsonb,
    ADD COLUMN state_after jsonb;

-- What the note said that offered it, without the code of its link.
ALTER TABLE suggestions ADD COLUMN told text;

-- Why the tenant was frozen, where this operation's no was the one too many: its ticket says so.
ALTER TABLE verifications ADD COLUMN alarm text;
