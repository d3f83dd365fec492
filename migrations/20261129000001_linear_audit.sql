-- The same chains, in time that grows with the number of events: what many executions told one ticket after the other comes
-- together at the end of one chain, hundreds of events at once, and linking them anew for each cost most of Postgres' time.
-- See docs/decisions/0050-audit-chain.md.

-- Names in full, instead of a search path that is set and set back at every call.
CREATE OR REPLACE FUNCTION audit_is_of(of_service text) RETURNS boolean
LANGUAGE sql STABLE
AS $$ SELECT pg_catalog.pg_has_role(session_user, 'firstline_' OPERATOR(pg_catalog.||) of_service, 'MEMBER') $$;

CREATE OR REPLACE FUNCTION audit_fold(start bytea, digests bytea[]) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
DECLARE
    digest bytea;
BEGIN
    FOREACH digest IN ARRAY digests LOOP
        start := pg_catalog.sha256(start OPERATOR(pg_catalog.||) digest);
    END LOOP;
    RETURN start;
END
$$;

-- Add events to their chains, in their order: how many. To be called last in a transaction, with the events of one chain
-- together and the chains in their order (none first): it locks their ends, in one order everywhere, and whoever waits for one
-- must hold nothing that its holder may want.
CREATE OR REPLACE FUNCTION audit_append(
    of_tenant text, of_service text, ids uuid[], tickets text[], executions uuid[], kinds text[], actors text[],
    details jsonb[], digests bytea[], happened_at timestamptz
) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, public
AS $$
#variable_conflict use_column
DECLARE
    nothing CONSTANT bytea := decode(repeat('00', 32), 'hex');
    many CONSTANT integer := cardinality(ids);
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
    IF NOT audit_is_of(of_service) THEN
        RAISE insufficient_privilege USING MESSAGE = format('%s does not write the audit of %s', session_user, of_service);
    END IF;
    places := array_fill(0::bigint, ARRAY[many]);
    links := array_fill(nothing, ARRAY[many]);
    WHILE first <= many LOOP
        last := first;
        of_chain := executions[first];
        together := ARRAY[digests[first]];
        WHILE last < many AND executions[last + 1] IS NOT DISTINCT FROM of_chain LOOP
            last := last + 1;
            together := together || digests[last];
        END LOOP;
        of_chain := COALESCE(of_chain, '00000000-0000-0000-0000-000000000000');
        LOOP
            UPDATE audit_heads head
            SET seq = head.seq + cardinality(together), link = audit_fold(head.link, together), before = head.link,
                fresh = together, sealed = false
            WHERE head.tenant_id = of_tenant AND head.service = of_service AND head.chain = of_chain
            RETURNING head.seq - cardinality(together), head.before INTO place, latest;
            EXIT WHEN FOUND;
            -- It is new; somebody else may begin it at the same moment.
            INSERT INTO audit_heads (tenant_id, service, chain, seq, link, before, fresh)
            VALUES (of_tenant, of_service, of_chain, 0, nothing, nothing, ARRAY[]::bytea[])
            ON CONFLICT DO NOTHING;
        END LOOP;
        FOR nth IN first..last LOOP
            place := place + 1;
            latest := sha256(latest || digests[nth]);
            places[nth] := place;
            links[nth] := latest;
        END LOOP;
        first := last + 1;
    END LOOP;
    INSERT INTO audit_events
        (tenant_id, id, service, ticket_id, execution_id, kind, actor, detail, at, seq, digest, link)
    SELECT of_tenant, event.id, of_service, event.ticket, event.execution, event.kind, event.actor, event.detail,
           happened_at, event.place, event.digest, event.link
    FROM unnest(ids, tickets, executions, kinds, actors, details, digests, places, links)
         AS event (id, ticket, execution, kind, actor, detail, digest, place, link);
    RETURN many;
END
$$;
