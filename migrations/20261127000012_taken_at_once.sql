-- Whoever commits the end of an execution may take its ticket in the same statement, to tell it at once: no other sender has
-- to find it. The claim says whether that statement took it or somebody else has it in hand.
ALTER TABLE ticket_outboxes ADD COLUMN claim uuid;
