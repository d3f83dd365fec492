-- Classifier: what is known of a ticket before it is decided on is found by the ticket. The old index lacked our own changes, one
-- of which may have made it, so that every decision read every event there ever was.

CREATE INDEX ticket_events_heard ON ticket_events (tenant_id, ticket_id) WHERE taken = 'WORK' OR source = 'CREATED';
DROP INDEX ticket_events_of_ticket;
