-- Tripwires: who has used up what within which window, and a freeze that no service can overlook.

-- One row for each thing that is limited: the uses that may still count, oldest first, as `[{"at": ..., "of": ...}]`. It is
-- locked while it is decided whether one more fits, so that two replicas never share the last place.
CREATE TABLE gate_windows (
    tenant_id text NOT NULL,
    limited text NOT NULL,          -- `requester`, `tenant`, `playbook`
    key text NOT NULL,              -- directory object id or name; never a phone number
    uses jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(uses) = 'array'),
    PRIMARY KEY (tenant_id, limited, key)
);

CREATE TABLE verification_windows (
    tenant_id text NOT NULL,
    limited text NOT NULL,          -- `subject`, `approver`, `pushes`, `denials`
    key text NOT NULL,
    uses jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(uses) = 'array'),
    PRIMARY KEY (tenant_id, limited, key)
);

CREATE TABLE effect_windows (
    tenant_id text NOT NULL,
    limited text NOT NULL,          -- `subject`, `destination`, `tenant`, `refusals`
    key text NOT NULL,              -- of a destination only its keyed digest
    uses jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(uses) = 'array'),
    PRIMARY KEY (tenant_id, limited, key)
);

GRANT SELECT, INSERT, UPDATE ON gate_windows TO firstline_classifier;
GRANT SELECT, INSERT, UPDATE ON verification_windows TO firstline_verification;
GRANT SELECT, INSERT, UPDATE ON effect_windows TO firstline_executor;

-- Whoever acts looks for itself, in the transaction in which it writes what it is about to do.
GRANT SELECT ON switches TO
    firstline_classifier, firstline_verification, firstline_executor, firstline_delivery;

-- Put the tenant's switch to off; `false` where it is off already. The one way for a service to freeze, and none to lift:
-- it runs with the rights of the owner, and says who called.
CREATE FUNCTION freeze_tenant(tenant text, why text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF tenant = '' THEN
        RAISE EXCEPTION 'no tenant is named' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO public.switches (tenant_id, scope, name, off_since, off_by, reason)
    VALUES (tenant, 'tenant', '', now(), 'service:' || replace(session_user, 'firstline_', ''), why)
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    -- As after an operator's: whoever has an execution in hand looks at once.
    PERFORM pg_notify('orchestration_operators', '');
    RETURN true;
END
$$;

REVOKE ALL ON FUNCTION freeze_tenant(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION freeze_tenant(text, text) TO firstline_verification, firstline_executor;
