-- The audit as chains: each event is linked to the one before it of the same service and execution, by the database itself,
-- so that whoever writes can add to a chain and do nothing else to it. See docs/decisions/0050-audit-chain.md.

ALTER TABLE audit_events
    ADD COLUMN seq bigint,          -- place in its chain, from 1 on; none: written before there were chains
    ADD COLUMN digest bytea,        -- SHA-256 over the event's canonical form, made by its writer
    ADD COLUMN link bytea,          -- SHA-256 over the link before and the digest
    ADD CHECK ((seq IS NULL) = (digest IS NULL) AND (seq IS NULL) = (link IS NULL)),
    ADD CHECK (seq > 0 AND length(digest) = 32 AND length(link) = 32);

-- The end of each chain. What belongs to no execution is one chain of its service, under an execution of zeros.
CREATE TABLE audit_heads (
    tenant_id text NOT NULL,
    service text NOT NULL,
    chain uuid NOT NULL,
    seq bigint NOT NULL,            -- how many events it has
    link bytea NOT NULL,            -- of the last
    before bytea NOT NULL,          -- the link before the last events that came together
    fresh bytea[] NOT NULL,         -- the digests of those events
    sealed boolean NOT NULL DEFAULT false, -- the link is in a seal
    PRIMARY KEY (tenant_id, service, chain)
);

CREATE INDEX audit_heads_unsealed ON audit_heads (tenant_id, service, chain) WHERE NOT sealed;

-- Signed heads, in the order in which they were signed.
CREATE TABLE audit_seals (
    tenant_id text NOT NULL,
    service text NOT NULL,
    nth bigint NOT NULL,            -- 1, 2, 3, ... without a gap
    seal text NOT NULL,             -- a JWS over heads, with the digest of the seal before it
    digest bytea NOT NULL,          -- SHA-256 of the text
    chains uuid[] NOT NULL,         -- whose heads are in it
    sealed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, service, nth)
);

CREATE FUNCTION audit_fold(start bytea, digests bytea[]) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog
AS $$
DECLARE
    digest bytea;
BEGIN
    FOREACH digest IN ARRAY digests LOOP
        start := sha256(start || digest);
    END LOOP;
    RETURN start;
END
$$;

-- Whoever calls is the service that it says it is.
CREATE FUNCTION audit_is_of(of_service text) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog
AS $$ SELECT pg_has_role(session_user, 'firstline_' || of_service, 'MEMBER') $$;

-- Add events to their chains, in their order: how many. To be called last in a transaction: it locks the ends of the chains,
-- in one order everywhere, and whoever waits for one must hold nothing that its holder may want.
CREATE FUNCTION audit_append(
    of_tenant text, of_service text, ids uuid[], tickets text[], executions uuid[], kinds text[], actors text[],
    details jsonb[], digests bytea[], happened_at timestamptz
) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, public
SET enable_hashjoin = on
AS $$
#variable_conflict use_column
DECLARE
    added bigint;
    nothing CONSTANT bytea := decode(repeat('00', 32), 'hex');
BEGIN
    IF ids IS NULL OR cardinality(ids) = 0 THEN
        RETURN 0;
    END IF;
    IF NOT audit_is_of(of_service) THEN
        RAISE insufficient_privilege USING MESSAGE = format('%s does not write the audit of %s', session_user, of_service);
    END IF;
    WITH new AS (
        SELECT event.*, COALESCE(event.execution, '00000000-0000-0000-0000-000000000000') AS chain
        FROM unnest(ids, tickets, executions, kinds, actors, details, digests) WITH ORDINALITY
             AS event (id, ticket, execution, kind, actor, detail, digest, nth)
    ), placed AS (
        SELECT new.*, row_number() OVER of_chain AS place, array_agg(digest) OVER of_chain AS so_far
        FROM new
        WINDOW of_chain AS (PARTITION BY chain ORDER BY nth)
    ), together AS (
        SELECT chain, count(*) AS events, array_agg(digest ORDER BY nth) AS digests
        FROM new
        GROUP BY chain
    ), heads AS (
        INSERT INTO audit_heads AS head (tenant_id, service, chain, seq, link, before, fresh)
        SELECT of_tenant, of_service, chain, events, audit_fold(nothing, digests), nothing, digests
        FROM together
        ORDER BY chain
        ON CONFLICT (tenant_id, service, chain) DO UPDATE
        SET seq = head.seq + EXCLUDED.seq,
            link = audit_fold(head.link, EXCLUDED.fresh),
            before = head.link,
            fresh = EXCLUDED.fresh,
            sealed = false
        RETURNING head.chain, head.seq - cardinality(head.fresh) AS seq, head.before
    )
    INSERT INTO audit_events
        (tenant_id, id, service, ticket_id, execution_id, kind, actor, detail, at, seq, digest, link)
    SELECT of_tenant, placed.id, of_service, placed.ticket, placed.execution, placed.kind, placed.actor,
           placed.detail, happened_at, heads.seq + placed.place, placed.digest,
           audit_fold(heads.before, placed.so_far)
    FROM placed
    JOIN heads USING (chain);
    GET DIAGNOSTICS added = ROW_COUNT;
    RETURN added;
END
$$;

-- Ends of chains that no seal has yet, held until the transaction ends, and the digest of the seal that was made last.
-- Of several replicas, one seals; the others find nothing.
CREATE FUNCTION audit_unsealed(of_tenant text, of_service text, most integer)
RETURNS TABLE (chain uuid, seq bigint, link bytea)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, public
AS $$
#variable_conflict use_column
BEGIN
    IF NOT audit_is_of(of_service) THEN
        RAISE insufficient_privilege USING MESSAGE = format('%s does not seal the audit of %s', session_user, of_service);
    END IF;
    IF NOT pg_try_advisory_xact_lock(hashtextextended('audit_seal/' || of_tenant || '/' || of_service, 0)) THEN
        RETURN;
    END IF;
    RETURN QUERY
        SELECT head.chain, head.seq, head.link
        FROM audit_heads head
        WHERE head.tenant_id = of_tenant AND head.service = of_service AND NOT head.sealed
        ORDER BY head.chain
        LIMIT most
        FOR NO KEY UPDATE SKIP LOCKED;
END
$$;

-- The digest of the newest seal; none where there is none.
CREATE FUNCTION audit_last_seal(of_tenant text, of_service text) RETURNS bytea
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, public
AS $$
    SELECT seal.digest
    FROM audit_seals seal
    WHERE seal.tenant_id = of_tenant AND seal.service = of_service
    ORDER BY nth DESC
    LIMIT 1
$$;

-- Put a seal down over what `audit_unsealed` answered in the same transaction: its number.
CREATE FUNCTION audit_seal(of_tenant text, of_service text, of_text text, of_chains uuid[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, public
AS $$
#variable_conflict use_column
DECLARE
    made bigint;
BEGIN
    IF NOT audit_is_of(of_service) THEN
        RAISE insufficient_privilege USING MESSAGE = format('%s does not seal the audit of %s', session_user, of_service);
    END IF;
    UPDATE audit_heads head
    SET sealed = true
    WHERE head.tenant_id = of_tenant AND head.service = of_service AND head.chain = ANY(of_chains);
    INSERT INTO audit_seals (tenant_id, service, nth, seal, digest, chains)
    SELECT of_tenant, of_service, COALESCE(max(nth), 0) + 1, of_text, sha256(convert_to(of_text, 'UTF8')), of_chains
    FROM audit_seals seal
    WHERE seal.tenant_id = of_tenant AND seal.service = of_service
    RETURNING nth INTO made;
    RETURN made;
END
$$;

REVOKE INSERT ON audit_events FROM
    firstline_classifier, firstline_playbook, firstline_orchestration,
    firstline_verification, firstline_executor, firstline_delivery;
REVOKE ALL ON FUNCTION
    audit_append(text, text, uuid[], text[], uuid[], text[], text[], jsonb[], bytea[], timestamptz),
    audit_unsealed(text, text, integer), audit_last_seal(text, text), audit_seal(text, text, text, uuid[]),
    audit_fold(bytea, bytea[]), audit_is_of(text)
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    audit_append(text, text, uuid[], text[], uuid[], text[], text[], jsonb[], bytea[], timestamptz),
    audit_unsealed(text, text, integer), audit_last_seal(text, text), audit_seal(text, text, text, uuid[])
    TO firstline_classifier, firstline_playbook, firstline_orchestration,
       firstline_verification, firstline_executor, firstline_delivery;
