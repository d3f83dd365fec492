-- Rows that a statement writes many of come as one array of rows, not as an array for each column: Postgres keeps what each
-- array holds in a store of its own, and sixty of them took as long as the rows. A service needs no privilege on a type, only
-- on the tables. See docs/decisions/0072-rows-in-arrays.md.

-- An event of the audit, with the digest that its link is made of.
CREATE TYPE audit_entry AS (
    id uuid,
    ticket_id text,
    execution_id uuid,
    kind text,
    actor text,
    detail jsonb,
    digest bytea
);

-- A new execution. `untouched` is its state where a switch is off, and it does not begin.
CREATE TYPE execution_entry AS (
    id uuid,
    ticket_id text,
    decision_id uuid,
    playbook_name text,
    playbook_version text,
    playbook_digest text,
    subject_id text,
    requester_name text,
    ticket jsonb,
    facts jsonb,
    traceparent text,
    status text,
    state jsonb,
    untouched jsonb,
    runner uuid,
    fence bigint,
    started_at timestamptz
);

-- What becomes of an execution.
CREATE TYPE execution_write AS (
    id uuid,
    runner uuid,
    fence bigint,
    state jsonb,
    status text,
    reason text,
    parked_since timestamptz,
    parked_told boolean,
    ended boolean,
    until timestamptz,
    signals bigint,
    at timestamptz,
    held boolean,
    takes boolean
);

-- A call of a step.
CREATE TYPE step_write AS (
    execution_id uuid,
    step_id text,
    visit integer,
    attempt integer,
    name text,
    action text,
    operation_id uuid,
    asked text,
    outcome text,
    explanation text,
    output jsonb,
    at timestamptz
);

-- A signal that is stored with what comes of it.
CREATE TYPE signal_write AS (
    execution_id uuid,
    operation_id uuid,
    step_id text,
    visit integer,
    attempt integer,
    result jsonb,
    sender text,
    at timestamptz,
    applied boolean
);

-- What a ticket is told.
CREATE TYPE update_write AS (
    ticket_id text,
    execution_id uuid,
    marker text,
    kind text,
    body jsonb,
    at timestamptz,
    linger_s double precision
);

-- A ticket that was told its news.
CREATE TYPE ticket_close AS (
    ticket_id text,
    fence bigint,
    known bigint,
    told_some boolean,
    wait_s double precision,
    in_doubt boolean,
    lease_s double precision
);

-- What became of an update, with the number of its ticket in the statement, from 1 on.
CREATE TYPE update_settle AS (
    closing bigint,
    ticket_id text,
    position bigint,
    settled text,
    words text
);

-- Add events to their chains, in their order: how many. To be called last in a transaction, with the events of one chain
-- together and the chains in their order (none first): it locks their ends, in one order everywhere, and whoever waits for one
-- must hold nothing that its holder may want. The function of this name with an array for each column does the same for services
-- of the version before, until a later migration drops it.
CREATE FUNCTION audit_append(
    of_tenant text, of_service text, events audit_entry[], happened_at timestamptz
) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, public
AS $$
#variable_conflict use_column
DECLARE
    nothing CONSTANT bytea := '\x0000000000000000000000000000000000000000000000000000000000000000';
    many CONSTANT integer := cardinality(events);
    first integer := 1;             -- of the events of one chain
    last integer;
    of_chain uuid;
    together bytea[];               -- their digests
    place bigint;                   -- of the event before, in its chain
    latest bytea;                   -- its link
    places bigint[];
    links bytea[];
BEGIN
    IF many IS NULL OR many = 0 THEN
        RETURN 0;
    END IF;
    IF session_user <> 'firstline_' || of_service AND NOT audit_is_of(of_service) THEN
        RAISE insufficient_privilege USING MESSAGE = format('%s does not write the audit of %s', session_user, of_service);
    END IF;
    WHILE first <= many LOOP
        last := first;
        of_chain := events[first].execution_id;
        together := ARRAY[events[first].digest];
        WHILE last < many AND events[last + 1].execution_id IS NOT DISTINCT FROM of_chain LOOP
            last := last + 1;
            together := array_append(together, events[last].digest);
        END LOOP;
        INSERT INTO audit_heads AS head (tenant_id, service, chain, seq, link, before, fresh)
        VALUES (
            of_tenant, of_service, COALESCE(of_chain, '00000000-0000-0000-0000-000000000000'),
            cardinality(together), audit_fold(nothing, together), nothing, together
        )
        ON CONFLICT (tenant_id, service, chain) DO UPDATE
        SET seq = head.seq + EXCLUDED.seq, link = audit_fold(head.link, EXCLUDED.fresh), before = head.link,
            fresh = EXCLUDED.fresh, sealed = false
        RETURNING head.seq - cardinality(head.fresh), head.before INTO place, latest;
        FOR nth IN first..last LOOP
            IF length(events[nth].digest) IS DISTINCT FROM 32 THEN
                RAISE check_violation
                    USING MESSAGE = format('the digest of event %s is not one of SHA-256', events[nth].id);
            END IF;
            place := place + 1;
            latest := sha256(latest || events[nth].digest);
            places[nth] := place;
            links[nth] := latest;
        END LOOP;
        first := last + 1;
    END LOOP;
    INSERT INTO audit_events
        (tenant_id, id, service, ticket_id, execution_id, kind, actor, detail, at, seq, digest, link)
    SELECT of_tenant, event.id, of_service, event.ticket_id, event.execution_id, event.kind, event.actor, event.detail,
           happened_at, event.place, event.digest, event.link
    FROM ROWS FROM (unnest(events), unnest(places), unnest(links))
         AS event (id, ticket_id, execution_id, kind, actor, detail, digest, place, link);
    RETURN many;
END
$$;

REVOKE ALL ON FUNCTION audit_append(text, text, audit_entry[], timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_append(text, text, audit_entry[], timestamptz) TO
    firstline_classifier, firstline_playbook, firstline_orchestration,
    firstline_verification, firstline_executor, firstline_delivery;
