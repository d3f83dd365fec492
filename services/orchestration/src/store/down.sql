-- See `down.rs`. $1: tenant. $2: executions that go on. $3: executions that are as they should be. $4: new executions. $5: calls of
-- steps. $6: the signals that brought it about. $7: news of tickets. $8 to $11: audit, whose first $11 events say that executions
-- were accepted. $12 to $14: tickets to take, for how long, and the name of the claim. The chains of the audit are locked last:
-- after the executions and the outboxes. What stands between `<begins>` and `</begins>` is left out where nothing begins (`shape.rs`).
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
    FROM UNNEST($2::execution_write[]) AS new
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
-- <begins>
), accepted AS (
    -- Of one decision there is one, and of those that are open one on each ticket. In one order everywhere, so that two who
    -- accept the same tickets never wait for each other.
    INSERT INTO playbook_executions
        (tenant_id, id, ticket_id, decision_id, playbook_name, playbook_version, playbook_digest,
         subject_id, requester_name, ticket, facts, traceparent, status, state, runner, fence, started_at, wake_at)
    SELECT $1, new.id, new.ticket_id, new.decision_id, new.playbook_name, new.playbook_version,
           new.playbook_digest, new.subject_id, new.requester_name, new.ticket, new.facts, new.traceparent,
           CASE WHEN switch.off THEN 'QUEUED' ELSE new.status END,
           CASE WHEN switch.off THEN new.untouched ELSE new.state END,
           CASE WHEN NOT switch.off THEN new.runner END,
           CASE WHEN switch.off THEN 0 ELSE new.fence END,
           new.started_at, now()
    FROM UNNEST($4::execution_entry[]) AS new
    CROSS JOIN LATERAL (
        SELECT EXISTS (
            SELECT FROM switches
            WHERE switches.tenant_id IN ($1, '') AND switches.name IN ('', new.playbook_name)
        ) AS off
    ) AS switch
    WHERE NOT EXISTS (
        SELECT FROM archived_executions archived
        WHERE archived.tenant_id = $1 AND archived.decision_id = new.decision_id
    )
    ORDER BY new.ticket_id
    ON CONFLICT DO NOTHING
    RETURNING id, ticket_id, traceparent, runner IS NOT NULL AS begun
-- </begins>
), ours AS (
    SELECT id FROM written
-- <begins>
    UNION ALL
    SELECT id FROM accepted WHERE begun
-- </begins>
    UNION ALL
    SELECT * FROM UNNEST($3::uuid[])
), steps AS (
    INSERT INTO playbook_step_executions AS step
        (tenant_id, execution_id, step_id, visit, attempt, name, action, operation_id, asked,
         outcome, explanation, output, started_at, ended_at)
    SELECT $1, new.execution_id, new.step_id, new.visit, new.attempt, new.name, new.action, new.operation_id,
           new.asked, new.outcome, new.explanation, new.output, new.at,
           CASE WHEN new.outcome IS NOT NULL THEN new.at END
    FROM UNNEST($5::step_write[]) WITH ORDINALITY AS new (
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
-- <hears>
), arrivals AS (
    INSERT INTO execution_signals
        (tenant_id, execution_id, operation_id, step_id, visit, attempt, result, sender, received_at, effect, handled_at)
    SELECT $1, new.execution_id, new.operation_id, new.step_id, new.visit, new.attempt, new.result, new.sender, new.at,
           CASE WHEN new.applied THEN 'applied' ELSE 'late' END, new.at
    FROM UNNEST($6::signal_write[]) AS new
    WHERE new.execution_id = ANY(ARRAY(SELECT id FROM ours))
-- </hears>
-- <tells>
), told AS (
    SELECT *
    FROM UNNEST($7::update_write[]) WITH ORDINALITY
         AS new (ticket_id, execution_id, marker, kind, body, at, linger_s, nth)
    WHERE new.execution_id = ANY(ARRAY(SELECT id FROM ours))
), updates AS (
    INSERT INTO ticket_updates (tenant_id, ticket_id, execution_id, marker, kind, body, created_at)
    SELECT $1, ticket_id, execution_id, marker, kind, body, at FROM told ORDER BY nth
), outboxes AS (
    INSERT INTO ticket_outboxes AS outbox (tenant_id, ticket_id, enqueued, held, claim, fence, wake_at)
    SELECT $1, news.ticket_id, 1, news.take, CASE WHEN news.take THEN $14::uuid END, news.take::integer,
           now() + CASE WHEN news.take THEN $13::interval ELSE make_interval(secs => news.linger_s) END
    FROM (
        SELECT ticket_id, ticket_id = ANY($12::text[]) AS take, MIN(linger_s) AS linger_s
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
-- </tells>
)
SELECT id AS execution_id, signals, kept, paused, switched_off,
       NULL AS ticket_id, NULL::bigint AS fence, NULL::bigint AS enqueued, NULL::boolean AS doubt,
       NULL AS traceparent
FROM written
-- <begins>
UNION ALL
SELECT id, NULL, begun, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM accepted
-- </begins>
-- <tells>
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, ticket_id, fence, enqueued, doubt,
       COALESCE(
-- <begins>
           (SELECT accepted.traceparent FROM accepted WHERE accepted.ticket_id = outboxes.ticket_id LIMIT 1),
-- </begins>
           (
               SELECT execution.traceparent
               FROM playbook_executions execution
               WHERE execution.tenant_id = $1 AND execution.ticket_id = outboxes.ticket_id
               ORDER BY execution.id DESC
               LIMIT 1
           )
       )
FROM outboxes
WHERE claim = $14::uuid
-- </tells>
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM (
    SELECT audit_append($1, $8, array_agg(entry ORDER BY execution_id NULLS FIRST, nth), $10) AS added
    FROM (
        SELECT ROW(id, ticket_id, execution_id, kind, actor, detail, digest)::audit_entry AS entry, execution_id, nth
        FROM UNNEST($9::audit_entry[]) WITH ORDINALITY
             AS event (id, ticket_id, execution_id, kind, actor, detail, digest, nth)
        WHERE execution_id = ANY(ARRAY(SELECT id FROM ours))
-- <begins>
           OR (nth <= $11 AND execution_id = ANY(ARRAY(SELECT id FROM accepted)))
-- </begins>
    ) AS events
) AS audit
WHERE audit.added < 0
