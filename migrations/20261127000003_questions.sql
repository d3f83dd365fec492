-- verification: questions to the requester. They prove nothing: no permit, no approver, an answer instead of a yes or no.

ALTER TABLE verifications ADD COLUMN question jsonb;    -- what the requester is asked, and how it is answered
ALTER TABLE verifications ADD COLUMN answer text;       -- the word of their choice, or what they typed; untrusted

ALTER TABLE verifications DROP CONSTRAINT verifications_method_check;
ALTER TABLE verifications ADD CONSTRAINT verifications_method_check
    CHECK (method IN ('mfa', 'manager', 'question'));

ALTER TABLE verifications DROP CONSTRAINT verifications_state_check;
ALTER TABLE verifications ADD CONSTRAINT verifications_state_check
    CHECK (state IN ('open', 'approved', 'denied', 'answered', 'timed_out', 'impossible'));

-- Whoever ended it by a word of their own is named, with the way it came.
ALTER TABLE verifications DROP CONSTRAINT verifications_check1;
ALTER TABLE verifications ADD CONSTRAINT verifications_answered_by_check
    CHECK ((state IN ('approved', 'denied', 'answered')) = (answered_by IS NOT NULL));
ALTER TABLE verifications DROP CONSTRAINT verifications_check2;
ALTER TABLE verifications ADD CONSTRAINT verifications_answered_channel_check
    CHECK ((state IN ('approved', 'denied', 'answered')) = (channel IS NOT NULL));

-- A card carries a reference, whoever reads it.
ALTER TABLE verifications DROP CONSTRAINT verifications_check10;
ALTER TABLE verifications ADD CONSTRAINT verifications_reference_check
    CHECK ((approver_id IS NULL AND question IS NULL) = (reference IS NULL));

-- A question is to the subject alone, and only its own answer ends it.
ALTER TABLE verifications ADD CONSTRAINT verifications_question_check
    CHECK (method = 'question' OR question IS NULL);
ALTER TABLE verifications ADD CONSTRAINT verifications_question_open_check
    CHECK (state <> 'open' OR method <> 'question' OR (question IS NOT NULL AND card IS NOT NULL));
ALTER TABLE verifications ADD CONSTRAINT verifications_question_proves_nothing_check
    CHECK (method <> 'question' OR (state NOT IN ('approved', 'denied') AND approver_id IS NULL AND authorizes IS NULL));
ALTER TABLE verifications ADD CONSTRAINT verifications_answer_check
    CHECK ((state = 'answered') = (answer IS NOT NULL));
ALTER TABLE verifications ADD CONSTRAINT verifications_answer_of_subject_check
    CHECK (state <> 'answered' OR (method = 'question' AND question IS NOT NULL AND answered_by = subject_id));
