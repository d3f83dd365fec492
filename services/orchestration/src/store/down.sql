-- See `down.rs`. $1: tenant. $2 to $14: executions that go on. $15: executions that are as they should be. $16 to $27: calls of
-- steps. $28 to $35: audit. $36 to $42: news of tickets. $43 to $45: tickets to take, for how long, and the name of the claim.
-- $46: which of the executions are taken with this write. $47 to $55: the signals that brought it about. $56: the digests of the
-- audit, whose chains are locked last: after the executions and the outboxes.
WITH written AS (
    UPDATE playbook_executions execution
    SET state = new.state,
        status = new.status,
        reason = new.reason,
        parked_since = new.parked_since,
        parked_told = new.parked_told,
        held = new.held,
        ended_at = CASE WHEN new.ended THEN new.at END,
        runner = CASE
            WHEN new.ended OR (new.until IS NOT NULL AND execution.signals + new.takes::integer = new.signals) THEN NULL
            ELSE new.runner
        END,
        fence = new.fence,
        signals = execution.signals + new.takes::integer,
        -- Kept in our hands it stays as it was, long past: an update that changes no indexed column is cheap.
        wake_at = CASE
            WHEN new.ended THEN NULL
            WHEN new.until IS NULL AND NOT new.takes THEN execution.wake_at
            WHEN new.until IS NOT NULL AND execution.signals + new.takes::integer = new.signals THEN new.until
            ELSE now()
        END
    FROM UNNEST(
        $2::uuid[], $3::uuid[], $4::bigint[], $5::jsonb[], $6::text[], $7::text[], $8::timestamptz[],
        $9::boolean[], $10::boolean[], $11::timestamptz[], $12::bigint[], $13::timestamptz[], $14::boolean[],
        $46::boolean[]
    ) AS new (
        id, runner, fence, state, status, reason, parked_since, parked_told, ended, until, signals, at, held, takes
    )
    WHERE execution.tenant_id = $1 AND execution.id = new.id AND execution.fence = new.fence - new.takes::integer
      AND CASE
          WHEN new.takes
              THEN execution.runner IS NULL AND execution.ended_at IS NULL AND execution.signals = new.signals - 1
          ELSE execution.runner = new.runner
      END
    RETURNING
        execution.id, execution.signals, execution.runner IS NOT NULL AS kept,
        execution.paused_at IS NOT NULL AS paused,
        EXISTS (
            SELECT FROM switches
            WHERE switches.tenant_id IN (execution.tenant_id, '')
              AND switches.name IN ('', execution.playbook_name)
        ) AS switched_off
), ours AS (
    SELECT id FROM written
    UNION ALL
    SELECT * FROM UNNEST($15::uuid[])
), steps AS (
    INSERT INTO playbook_step_executions AS step
        (tenant_id, execution_id, step_id, visit, attempt, name, action, operation_id, asked,
         outcome, explanation, output, started_at, ended_at)
    SELECT $1, new.execution_id, new.step_id, new.visit, new.attempt, new.name, new.action, new.operation_id,
           new.asked, new.outcome, new.explanation, new.output, new.at,
           CASE WHEN new.outcome IS NOT NULL THEN new.at END
    FROM UNNEST(
        $16::uuid[], $17::text[], $18::integer[], $19::integer[], $20::text[], $21::text[], $22::uuid[],
        $23::text[], $24::text[], $25::text[], $26::jsonb[], $27::timestamptz[]
    ) WITH ORDINALITY AS new (
        execution_id, step_id, visit, attempt, name, action, operation_id, asked,
        outcome, explanation, output, at, nth
    )
    WHERE new.execution_id = ANY(ARRAY(SELECT id FROM ours))
    ORDER BY new.nth
    ON CONFLICT (tenant_id, execution_id, step_id, visit, attempt) DO UPDATE
    SET operation_id = COALESCE(EXCLUDED.operation_id, step.operation_id),
        asked = COALESCE(EXCLUDED.asked, step.asked),
        outcome = EXCLUDED.outcome,
        explanation = EXCLUDED.explanation,
        output = EXCLUDED.output,
        ended_at = EXCLUDED.ended_at
), arrivals AS (
    INSERT INTO execution_signals
        (tenant_id, execution_id, operation_id, step_id, visit, attempt, result, sender, received_at, effect, handled_at)
    SELECT $1, new.execution_id, new.operation_id, new.step_id, new.visit, new.attempt, new.result, new.sender, new.at,
           CASE WHEN new.applied THEN 'applied' ELSE 'late' END, new.at
    FROM UNNEST(
        $47::uuid[], $48::uuid[], $49::text[], $50::integer[], $51::integer[], $52::jsonb[], $53::text[],
        $54::timestamptz[], $55::boolean[]
    ) AS new (execution_id, operation_id, step_id, visit, attempt, result, sender, at, applied)
    WHERE new.execution_id = ANY(ARRAY(SELECT id FROM ours))
), told AS (
    SELECT *
    FROM UNNEST(
        $36::text[], $37::uuid[], $38::text[], $39::text[], $40::jsonb[], $41::timestamptz[], $42::float8[]
    ) WITH ORDINALITY AS new (ticket_id, execution_id, marker, kind, body, at, linger_s, nth)
    WHERE new.execution_id = ANY(ARRAY(SELECT id FROM ours))
), updates AS (
    INSERT INTO ticket_updates (tenant_id, ticket_id, execution_id, marker, kind, body, created_at)
    SELECT $1, ticket_id, execution_id, marker, kind, body, at FROM told ORDER BY nth
), outboxes AS (
    INSERT INTO ticket_outboxes AS outbox (tenant_id, ticket_id, enqueued, held, claim, fence, wake_at)
    SELECT $1, news.ticket_id, 1, news.take, CASE WHEN news.take THEN $45::uuid END, news.take::integer,
           now() + CASE WHEN news.take THEN $44::interval ELSE make_interval(secs => news.linger_s) END
    FROM (
        SELECT ticket_id, ticket_id = ANY($43::text[]) AS take, MIN(linger_s) AS linger_s
        FROM told
        GROUP BY ticket_id
    ) AS news
    ORDER BY news.ticket_id
    ON CONFLICT (tenant_id, ticket_id) DO UPDATE
    SET enqueued = outbox.enqueued + 1,
        held = outbox.held OR (EXCLUDED.held AND outbox.failures = 0),
        claim = CASE WHEN outbox.held OR outbox.failures > 0 THEN outbox.claim ELSE EXCLUDED.claim END,
        fence = outbox.fence + CASE WHEN outbox.held OR outbox.failures > 0 THEN 0 ELSE EXCLUDED.fence END,
        wake_at = CASE
            WHEN outbox.held OR outbox.failures > 0 THEN outbox.wake_at
            WHEN EXCLUDED.held THEN EXCLUDED.wake_at
            ELSE LEAST(outbox.wake_at, EXCLUDED.wake_at)
        END
    RETURNING ticket_id, fence, enqueued, doubt, claim
)
SELECT id AS execution_id, signals, kept, paused, switched_off,
       NULL AS ticket_id, NULL::bigint AS fence, NULL::bigint AS enqueued, NULL::boolean AS doubt,
       NULL AS traceparent
FROM written
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, ticket_id, fence, enqueued, doubt,
       (
           SELECT execution.traceparent
           FROM playbook_executions execution
           WHERE execution.tenant_id = $1 AND execution.ticket_id = outboxes.ticket_id
           ORDER BY execution.id DESC
           LIMIT 1
       )
FROM outboxes
WHERE claim = $45::uuid
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM (
    SELECT audit_append(
               $1, $28, array_agg(id), array_agg(ticket_id), array_agg(execution_id), array_agg(kind), array_agg(actor),
               array_agg(detail), array_agg(digest), $35
           ) AS added
    FROM (
        SELECT *
        FROM UNNEST($29::uuid[], $30::text[], $31::uuid[], $32::text[], $33::text[], $34::jsonb[], $56::bytea[])
             WITH ORDINALITY AS event (id, ticket_id, execution_id, kind, actor, detail, digest, nth)
        WHERE execution_id = ANY(ARRAY(SELECT id FROM ours))
        ORDER BY execution_id NULLS FIRST, nth
    ) AS events
) AS audit
WHERE audit.added < 0
