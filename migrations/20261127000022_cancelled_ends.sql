-- What an operator cancelled ends with a person: a runner that has not heard of it yet cannot end it well, and finds out
-- when it takes it up again. NOT VALID: what ended before stays as it is.
ALTER TABLE playbook_executions
    ADD CONSTRAINT playbook_executions_cancelled_ends_with_a_person
        CHECK (cancelled IS NULL OR status <> 'RESOLVED') NOT VALID;
