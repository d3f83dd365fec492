-- An execution is updated once for each step, and none of its indexed columns changes while it stays in the same hands. With
-- room left on its page such an update touches no index at all.
ALTER TABLE playbook_executions SET (fillfactor = 70);
ALTER TABLE playbook_step_executions SET (fillfactor = 80);
ALTER TABLE ticket_outboxes SET (fillfactor = 80);
