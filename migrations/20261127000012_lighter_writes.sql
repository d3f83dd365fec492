-- Whoever commits the end of an execution may take its ticket in the same statement, to tell it at once: no other sender has
-- to find it. The claim says whether that statement took it or somebody else has it in hand.
ALTER TABLE ticket_outboxes ADD COLUMN claim uuid;

-- Rows of steps and of news are written by one statement only, which hangs all of them on the row of their execution, and
-- retention removes them together with it: that the execution is there need not be looked up for every row again.
ALTER TABLE playbook_step_executions DROP CONSTRAINT playbook_step_executions_tenant_id_execution_id_fkey;
ALTER TABLE ticket_updates DROP CONSTRAINT ticket_updates_tenant_id_execution_id_fkey;

-- An execution has few steps and a ticket few news: the primary keys find them. Without these two, settling news touches no
-- index, as long as there is room left on the page.
DROP INDEX playbook_step_executions_in_order;
DROP INDEX ticket_updates_due;
ALTER TABLE ticket_updates SET (fillfactor = 60);
