-- Which migration the database is at, for services that may not read the list of them: whoever is newer than the database waits for
-- it, and says so.
CREATE FUNCTION schema_version() RETURNS bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    RETURN (SELECT max(version) FROM _sqlx_migrations WHERE success);
END
$$;

REVOKE ALL ON FUNCTION schema_version() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION schema_version() TO
    firstline_classifier, firstline_playbook, firstline_orchestration,
    firstline_verification, firstline_executor, firstline_delivery;
