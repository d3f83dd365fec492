-- A runner proves that it lives by a lock of its session as well as by its lease: Postgres lets go of the lock the moment
-- the process is gone, and nobody has to wait for the lease.
ALTER TABLE execution_runners ADD COLUMN locked boolean NOT NULL DEFAULT false;  -- not of versions that take no lock
