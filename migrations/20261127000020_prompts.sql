-- verification: whoever waits for a phone that another prompt is on is found by the person, not by reading every row.

CREATE INDEX verifications_waiting_prompt ON verifications (tenant_id, subject_id)
WHERE method = 'mfa' AND state = 'open' AND NOT push_open;
