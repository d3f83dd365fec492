-- What runs as the owner must not find a table that its caller made: temporary ones are looked for first, unless the path says where
-- else (PostgreSQL manual, "Writing SECURITY DEFINER Functions Safely"). A stolen service with a temporary `audit_heads` and a
-- trigger on it would have had its own code run by the owner.
ALTER FUNCTION audit_append(text, text, audit_entry[], timestamptz) SET search_path = pg_catalog, public, pg_temp;
ALTER FUNCTION audit_append(
    text, text, uuid[], text[], uuid[], text[], text[], jsonb[], bytea[], timestamptz
) SET search_path = pg_catalog, public, pg_temp;
ALTER FUNCTION audit_unsealed(text, text, integer) SET search_path = pg_catalog, public, pg_temp;
ALTER FUNCTION audit_last_seal(text, text) SET search_path = pg_catalog, public, pg_temp;
ALTER FUNCTION audit_seal(text, text, text, uuid[]) SET search_path = pg_catalog, public, pg_temp;

-- And no service has any use for one.
DO $$
BEGIN
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
END
$$;
