-- See `outbox.rs`. $1: tenant. $2: tickets to be let go of. $3: what was settled, and the words that told it. $4 to $7: audit.
-- What was settled and what is audited names the ticket it belongs to by its number, from 1 on. Tickets are locked in one order
-- everywhere, so that nobody waits for each other; the chains of the audit are locked last.
WITH ours AS (
    -- One after the other by its key, whatever was thought of the table when the plan was made.
    SELECT outbox.ticket_id, closing.*
    FROM (
        SELECT *
        FROM UNNEST($2::ticket_close[]) WITH ORDINALITY
             AS closing (closed, closed_fence, known, told_some, wait_s, in_doubt, lease_s, nth)
        ORDER BY closed
    ) AS closing
    CROSS JOIN LATERAL (
        SELECT outbox.ticket_id
        FROM ticket_outboxes outbox
        WHERE outbox.tenant_id = $1 AND outbox.ticket_id = closing.closed AND outbox.fence = closing.closed_fence
          AND outbox.held
        FOR UPDATE
    ) AS outbox
), let_go AS (
    UPDATE ticket_outboxes outbox
    SET held = ours.wait_s IS NULL AND outbox.enqueued <> ours.known,
        wake_at = CASE
            WHEN ours.wait_s IS NOT NULL THEN now() + make_interval(secs => ours.wait_s)
            WHEN outbox.enqueued <> ours.known THEN now() + make_interval(secs => ours.lease_s)
        END,
        doubt = ours.in_doubt OR (outbox.doubt AND ours.wait_s IS NOT NULL AND NOT ours.told_some),
        failures = CASE
            WHEN ours.wait_s IS NULL THEN 0
            WHEN ours.told_some THEN 1
            ELSE outbox.failures + 1
        END
    FROM ours
    WHERE outbox.tenant_id = $1 AND outbox.ticket_id = ours.ticket_id
    RETURNING outbox.ticket_id, outbox.fence, outbox.held, outbox.enqueued
), settled AS (
    UPDATE ticket_updates update
    SET settled = told.settled, settled_at = now(), told = told.words
    FROM UNNEST($3::update_settle[]) AS told
    WHERE told.closing = ANY(ARRAY(SELECT nth FROM ours))
      AND update.tenant_id = $1 AND update.ticket_id = told.ticket_id AND update.position = told.position
      AND update.settled IS NULL
)
SELECT ticket_id AS "ticket_id!", fence AS "fence!", held AS "held!", enqueued AS "enqueued!" FROM let_go
UNION ALL
SELECT NULL, NULL, NULL, NULL
FROM (
    SELECT audit_append($1, $4, array_agg(entry ORDER BY execution_id NULLS FIRST, nth), $7) AS added
    FROM (
        SELECT ROW(id, ticket_id, execution_id, kind, actor, detail, digest)::audit_entry AS entry, execution_id, nth
        FROM ROWS FROM (UNNEST($5::bigint[]), UNNEST($6::audit_entry[])) WITH ORDINALITY
             AS event (closing, id, ticket_id, execution_id, kind, actor, detail, digest, nth)
        WHERE closing = ANY(ARRAY(SELECT nth FROM ours))
    ) AS events
) AS audit
WHERE audit.added < 0
