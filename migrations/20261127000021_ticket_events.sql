-- Classifier: what happened to a ticket is found by the ticket, not by reading every event.

CREATE INDEX ticket_events_of_ticket ON ticket_events (tenant_id, ticket_id) WHERE taken = 'WORK';
