-- What orchestration was asked holds the ticket's text and names, as `considered.personal` does: it is forgotten with it.

ALTER TABLE classification_results
    ADD COLUMN forgotten_at timestamptz,    -- when what people wrote was taken away
    DROP CONSTRAINT classification_results_check1,
    ADD CONSTRAINT classification_results_request_check
        CHECK ((automated AND forgotten_at IS NULL) = (execution_request IS NOT NULL));

ALTER TABLE suggestions
    ADD COLUMN forgotten_at timestamptz,
    DROP CONSTRAINT suggestions_check,
    ADD CONSTRAINT suggestions_request_check
        CHECK ((approved_at IS NOT NULL AND forgotten_at IS NULL) = (execution_request IS NOT NULL));

-- In place of `classification_results_personal`: what retention still has to forget, oldest first.
CREATE INDEX classification_results_to_forget ON classification_results (tenant_id, decision_id)
    WHERE considered ? 'personal' OR execution_request IS NOT NULL;
DROP INDEX classification_results_personal;

GRANT UPDATE (execution_request, forgotten_at) ON classification_results TO firstline_classifier;
