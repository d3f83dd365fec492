-- The same chains, the ends of several of them in one statement: a commit of many executions ran one for each. Alone, a chain's end
-- stays a statement of its own, which is the quickest for one.

-- Add events to their chains, in their order: how many. To be called last in a transaction, with the events of one chain
-- together and the chains in their order (none first): it locks their ends, in one order everywhere, and whoever waits for one
-- must hold nothing that its holder may want.
CREATE OR REPLACE FUNCTION audit_append(
    of_tenant text, of_service text, events audit_entry[], happened_at timestamptz
) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, public
AS $$
#variable_conflict use_column
DECLARE
    nothing CONSTANT bytea := '\x0000000000000000000000000000000000000000000000000000000000000000';
    many CONSTANT integer := cardinality(events);
    digests bytea[];
    chains uuid[];                  -- none twice
    ends integer[];                 -- the last event of each
    place bigint;                   -- of the event before, in its chain
    latest bytea;                   -- its link
    head record;
    reached integer := 0;           -- chains whose events have their places
    first integer := 1;
    places bigint[];
    links bytea[];
BEGIN
    IF many IS NULL OR many = 0 THEN
        RETURN 0;
    END IF;
    IF session_user <> 'firstline_' || of_service AND NOT audit_is_of(of_service) THEN
        RAISE insufficient_privilege USING MESSAGE = format('%s does not write the audit of %s', session_user, of_service);
    END IF;
    FOR nth IN 1..many LOOP
        IF length(events[nth].digest) IS DISTINCT FROM 32 THEN
            RAISE check_violation
                USING MESSAGE = format('the digest of event %s is not one of SHA-256', events[nth].id);
        END IF;
        digests[nth] := events[nth].digest;
        IF nth = many OR events[nth + 1].execution_id IS DISTINCT FROM events[nth].execution_id THEN
            chains := array_append(chains, COALESCE(events[nth].execution_id, '00000000-0000-0000-0000-000000000000'));
            ends := array_append(ends, nth);
        END IF;
    END LOOP;
    IF cardinality(ends) = 1 THEN
        INSERT INTO audit_heads AS head (tenant_id, service, chain, seq, link, before, fresh)
        VALUES (of_tenant, of_service, chains[1], many, audit_fold(nothing, digests), nothing, digests)
        ON CONFLICT (tenant_id, service, chain) DO UPDATE
        SET seq = head.seq + EXCLUDED.seq, link = audit_fold(head.link, EXCLUDED.fresh), before = head.link,
            fresh = EXCLUDED.fresh, sealed = false
        RETURNING head.seq - cardinality(head.fresh), head.before INTO place, latest;
        FOR nth IN 1..many LOOP
            place := place + 1;
            latest := sha256(latest || digests[nth]);
            places[nth] := place;
            links[nth] := latest;
        END LOOP;
    ELSE
        FOR head IN
            INSERT INTO audit_heads AS head (tenant_id, service, chain, seq, link, before, fresh)
            SELECT of_tenant, of_service, chains[nth], ends[nth] - COALESCE(ends[nth - 1], 0),
                   audit_fold(nothing, digests[COALESCE(ends[nth - 1], 0) + 1:ends[nth]]), nothing,
                   digests[COALESCE(ends[nth - 1], 0) + 1:ends[nth]]
            FROM generate_series(1, cardinality(ends)) AS nth
            ON CONFLICT (tenant_id, service, chain) DO UPDATE
            SET seq = head.seq + EXCLUDED.seq, link = audit_fold(head.link, EXCLUDED.fresh), before = head.link,
                fresh = EXCLUDED.fresh, sealed = false
            RETURNING head.chain, head.seq - cardinality(head.fresh) AS place, head.before AS latest
        LOOP
            reached := reached + 1;
            -- They come back in the order in which they went in. No event is linked to another chain's end should that ever change.
            IF head.chain <> chains[reached] THEN
                RAISE internal_error USING MESSAGE = 'the ends of chains came back in another order';
            END IF;
            place := head.place;
            latest := head.latest;
            FOR nth IN first..ends[reached] LOOP
                place := place + 1;
                latest := sha256(latest || digests[nth]);
                places[nth] := place;
                links[nth] := latest;
            END LOOP;
            first := ends[reached] + 1;
        END LOOP;
    END IF;
    INSERT INTO audit_events
        (tenant_id, id, service, ticket_id, execution_id, kind, actor, detail, at, seq, digest, link)
    SELECT of_tenant, event.id, of_service, event.ticket_id, event.execution_id, event.kind, event.actor, event.detail,
           happened_at, places[event.nth], event.digest, links[event.nth]
    FROM unnest(events) WITH ORDINALITY AS event (id, ticket_id, execution_id, kind, actor, detail, digest, nth);
    RETURN many;
END
$$;
