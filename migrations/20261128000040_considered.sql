-- What each decision was made of: every check with its answer, scores, threshold, and the facts to decide again with
-- something changed. Its member `personal` (the ticket's text, names) is taken away by retention; the rest stays.

ALTER TABLE classification_results ADD COLUMN considered jsonb CHECK (jsonb_typeof(considered) = 'object');

-- What retention still has to forget, oldest first: ids sort by time.
CREATE INDEX classification_results_personal ON classification_results (tenant_id, decision_id)
    WHERE considered ? 'personal';

-- A decision itself is never changed.
GRANT UPDATE (considered) ON classification_results TO firstline_classifier;
