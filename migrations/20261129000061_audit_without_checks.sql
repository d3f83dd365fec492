-- The same chains. What the checks of `audit_events` held to is held to by the only function that writes there: whose audit it
-- is, that a place, a digest and a link come together, and that they are ones. Postgres read the text of the checks anew for every
-- event that was written. See docs/decisions/0071-rules-as-functions.md.

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
    nothing CONSTANT bytea := '\x0000000000000000000000000000000000000000000000000000000000000000';
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
    IF session_user <> 'firstline_' || of_service AND NOT audit_is_of(of_service) THEN
        RAISE insufficient_privilege USING MESSAGE = format('%s does not write the audit of %s', session_user, of_service);
    END IF;
    WHILE first <= many LOOP
        last := first;
        of_chain := executions[first];
        WHILE last < many AND executions[last + 1] IS NOT DISTINCT FROM of_chain LOOP
            last := last + 1;
        END LOOP;
        together := digests[first:last];
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
            IF length(digests[nth]) IS DISTINCT FROM 32 THEN
                RAISE check_violation USING MESSAGE = format('the digest of event %s is not one of SHA-256', ids[nth]);
            END IF;
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

ALTER TABLE audit_events
    DROP CONSTRAINT audit_events_check,
    DROP CONSTRAINT audit_events_check1,
    DROP CONSTRAINT audit_events_service_check;
