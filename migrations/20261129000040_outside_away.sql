-- verification: what an outage outside puts off. While nobody could be asked, the time of a step does not run; and a manager's
-- yes is kept until the directory says that they still are the one to say it.

ALTER TABLE verifications ADD COLUMN latest timestamptz;            -- when we stop whatever happens; NULL: at the deadline
ALTER TABLE verifications ADD COLUMN moved_deadline timestamptz;    -- the deadline as it moved; NULL: it did not

ALTER TABLE verifications ADD COLUMN kept_at timestamptz;           -- when the yes came
ALTER TABLE verifications ADD COLUMN kept_channel text CHECK (kept_channel IN ('teams', 'sms'));
ALTER TABLE verifications ADD COLUMN kept_provenance jsonb;
ALTER TABLE verifications ADD COLUMN look_up_attempts smallint CHECK (look_up_attempts >= 0);
ALTER TABLE verifications ADD COLUMN look_up_at timestamptz;        -- when the directory is to be asked

ALTER TABLE verifications ADD CONSTRAINT verifications_kept_check
    CHECK ((kept_at IS NULL) = (kept_channel IS NULL) AND (kept_at IS NULL) = (kept_provenance IS NULL)
        AND (kept_at IS NULL) = (look_up_attempts IS NULL) AND (kept_at IS NULL) = (look_up_at IS NULL));
-- Not: only while it is open. A replica of the version before this one ends an operation without knowing of these columns.
ALTER TABLE verifications ADD CONSTRAINT verifications_kept_method_check CHECK (kept_at IS NULL OR method = 'manager');

-- An answer by text can be such a yes, or one that came from somebody who is no longer asked.
ALTER TABLE verification_messages DROP CONSTRAINT verification_messages_verdict_check;
ALTER TABLE verification_messages ADD CONSTRAINT verification_messages_verdict_check
    CHECK (verdict IN ('counted', 'kept', 'lapsed', 'late', 'wrong_code', 'unreadable', 'unknown'));
