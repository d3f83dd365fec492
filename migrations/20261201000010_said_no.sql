-- verification: whether a person has said no to another prompt lately is asked before each of theirs. One row per no.

CREATE INDEX verifications_said_no ON verifications (tenant_id, lower(subject_id), ended_at)
WHERE method = 'mfa' AND state = 'denied';
