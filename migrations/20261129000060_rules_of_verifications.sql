-- What must hold of a verification is the same as before, said by a function. Postgres reads the text of every check of a table
-- anew in each statement that writes a row of it, and the thirty-seven of this one took longer than the statement. The body of a
-- function is read once in a session. See docs/decisions/0071-rules-as-functions.md.
CREATE FUNCTION verification_is_sound(it verifications) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
BEGIN
    -- As a check has it: what is unknown breaks no rule.
    RETURN coalesce(it.visit > 0, true)
        AND coalesce(it.attempt > 0, true)
        AND coalesce(it.method IN ('mfa', 'manager', 'question'), true)
        AND coalesce(it.state IN ('open', 'approved', 'denied', 'answered', 'timed_out', 'impossible'), true)
        AND coalesce(it.channel IN ('push', 'teams', 'sms'), true)

        -- where it stands
        AND coalesce((it.state = 'open') = (it.ended_at IS NULL), true)
        AND coalesce(it.state <> 'open' OR it.wake_at IS NOT NULL, true)
        AND coalesce((it.state IN ('approved', 'denied', 'answered')) = (it.answered_by IS NOT NULL), true)
        AND coalesce((it.state IN ('approved', 'denied', 'answered')) = (it.channel IS NOT NULL), true)
        AND coalesce(it.state NOT IN ('timed_out', 'impossible') OR it.reason IS NOT NULL, true)
        AND coalesce(it.state <> 'open' OR it.method <> 'mfa' OR (it.user_principal_name IS NOT NULL AND it.pushes IS NOT NULL), true)
        AND coalesce(it.state <> 'open' OR it.method <> 'manager' OR (it.card IS NOT NULL AND it.sms IS NOT NULL), true)
        AND coalesce(it.state <> 'open' OR it.method <> 'question' OR (it.question IS NOT NULL AND it.card IS NOT NULL), true)

        -- No permit without an approval, and none for the manager's own account.
        AND coalesce(it.permit_id IS NULL OR (it.state = 'approved' AND it.permit_issued_at < it.permit_expires_at), true)
        AND coalesce(it.approver_id IS NULL OR it.approver_id <> it.subject_id, true)
        AND coalesce((it.approver_id IS NULL) = (it.shown IS NULL), true)
        AND coalesce((it.approver_id IS NULL AND it.question IS NULL) = (it.reference IS NULL), true)
        AND coalesce(it.state <> 'approved' OR it.method <> 'manager' OR it.answered_by = it.approver_id, true)
        AND coalesce(it.state <> 'approved' OR it.method <> 'mfa' OR it.answered_by = it.subject_id, true)

        -- A question proves nothing.
        AND coalesce(it.method = 'question' OR it.question IS NULL, true)
        AND coalesce(
            it.method <> 'question'
                OR (it.state NOT IN ('approved', 'denied') AND it.approver_id IS NULL AND it.authorizes IS NULL),
            true
        )
        AND coalesce((it.state = 'answered') = (it.answer IS NOT NULL), true)
        AND coalesce(
            it.state <> 'answered'
                OR (it.method = 'question' AND it.question IS NOT NULL AND it.answered_by = it.subject_id),
            true
        )

        -- how people are asked
        AND coalesce(it.pushes BETWEEN 0 AND 2, true)
        AND coalesce(it.push_attempts >= 0, true)
        AND coalesce(it.card IN ('due', 'sending', 'sent', 'off'), true)
        AND coalesce(it.card_attempts >= 0, true)
        AND coalesce(it.cards_unconfirmed >= 0, true)
        AND coalesce(it.sms IN ('due', 'sending', 'sent', 'off'), true)
        AND coalesce(it.sms_attempts >= 0, true)
        AND coalesce(it.sms_count BETWEEN 0 AND 2, true)
        AND coalesce(it.sms_wrong >= 0, true)
        AND coalesce(it.signal_attempts >= 0, true)

        -- an answer that is kept while it is looked up whose it is
        AND coalesce(it.kept_channel IN ('teams', 'sms'), true)
        AND coalesce(it.look_up_attempts >= 0, true)
        AND coalesce(
            (it.kept_at IS NULL) = (it.kept_channel IS NULL)
                AND (it.kept_at IS NULL) = (it.kept_provenance IS NULL)
                AND (it.kept_at IS NULL) = (it.look_up_attempts IS NULL)
                AND (it.kept_at IS NULL) = (it.look_up_at IS NULL),
            true
        )
        AND coalesce(it.kept_at IS NULL OR it.method = 'manager', true);
END
$$;

DO $$
DECLARE
    rule name;
BEGIN
    FOR rule IN
        SELECT conname FROM pg_constraint WHERE conrelid = 'verifications'::regclass AND contype = 'c'
    LOOP
        EXECUTE format('ALTER TABLE verifications DROP CONSTRAINT %I', rule);
    END LOOP;
END
$$;

-- Rows that are there were held to the same rules.
ALTER TABLE verifications ADD CONSTRAINT verifications_are_sound CHECK (verification_is_sound(verifications)) NOT VALID;
