-- The roles of the gateway on PostgreSQL. Run with psql as a superuser, once for the arrest database, once for the store,
-- and once for the auditors of that store, with the variables that each part needs:
--
--   psql -v part=arrests -v database=arrests -v reader=gateway_reader -f deploy/roles.sql arrests
--   psql -v part=store   -v database=gateway -v writer=gateway_writer -f deploy/roles.sql gateway
--   psql -v part=auditor -v database=gateway -v auditor=gateway_auditor -f deploy/roles.sql gateway
--
-- Passwords are set apart (\password), so that none stands in a file. `gateway init` makes the store's tables as their
-- owner; run the other parts after it. The writer is not their owner: it can add to the log and never change it.

\set ON_ERROR_STOP on
SELECT :'part' = 'arrests' AS arrests, :'part' = 'store' AS store, :'part' = 'auditor' AS auditing \gset

\if :arrests
    -- The reader may SELECT and nothing else, and can't turn its read-only transactions off for good: it owns nothing.
    CREATE ROLE :"reader" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT NOREPLICATION NOBYPASSRLS;
    ALTER ROLE :"reader" SET default_transaction_read_only = on;
    ALTER ROLE :"reader" SET statement_timeout = '10s';
    ALTER ROLE :"reader" SET idle_in_transaction_session_timeout = '10s';
    REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
    REVOKE CREATE ON SCHEMA public FROM PUBLIC;
    GRANT CONNECT ON DATABASE :"database" TO :"reader";
    GRANT USAGE ON SCHEMA public TO :"reader";
    GRANT SELECT ON ALL TABLES IN SCHEMA public TO :"reader";
\endif

\if :store
    CREATE ROLE :"writer" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT NOREPLICATION NOBYPASSRLS;
    ALTER ROLE :"writer" SET synchronous_commit = on;
    -- The gateway asks for the rest itself; they stand here for whatever else logs in under its role. A session that a
    -- split network has cut off must not keep its locks.
    ALTER ROLE :"writer" SET idle_in_transaction_session_timeout = '10s';
    ALTER ROLE :"writer" SET lock_timeout = '5s';
    ALTER ROLE :"writer" SET tcp_keepalives_idle = 5;
    ALTER ROLE :"writer" SET tcp_keepalives_interval = 2;
    ALTER ROLE :"writer" SET tcp_keepalives_count = 3;
    ALTER ROLE :"writer" SET tcp_user_timeout = '10s';
    REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
    REVOKE CREATE ON SCHEMA public FROM PUBLIC;
    GRANT CONNECT ON DATABASE :"database" TO :"writer";
    GRANT USAGE ON SCHEMA public TO :"writer";
    -- The log only grows: no UPDATE, no DELETE.
    GRANT SELECT, INSERT ON entry, opening, leaf, checkpoint TO :"writer";
    GRANT SELECT, INSERT, DELETE ON pending TO :"writer";
    GRANT SELECT, UPDATE ON tree_head TO :"writer";
    GRANT SELECT, INSERT ON budget_mark TO :"writer";
    GRANT SELECT, INSERT, UPDATE (refusals_left) ON budget_refusal TO :"writer";
    -- How far alerts and the SIEM have read on; and which notices are overdue.
    GRANT SELECT, INSERT, UPDATE ON forwarded TO :"writer";
    GRANT SELECT ON notice TO :"writer";
    GRANT SELECT, INSERT, DELETE ON assertion TO :"writer";
    GRANT SELECT ON schema_version, client, instrument, key_record TO :"writer";
    -- A client acknowledges what it was owed. Owing a notice, holding and erasing are the owner's, by its commands.
    GRANT SELECT, UPDATE (acknowledged, ids) ON notice TO :"writer";
    -- Statements, and the bundles that they put in force, are the owner's to write: what serves can't choose its policy.
    GRANT SELECT ON bundle, statement TO :"writer";
    -- Settling a budget locks the agreement's row, which PostgreSQL allows only to who may change some column of it.
    GRANT SELECT, UPDATE (version) ON agreement TO :"writer";
\endif

\if :auditing
    -- Auditors read the log and what it stands on, and add entries of what they did; the gateway seals them. They neither
    -- change nor seal anything, and see no client's key, no instrument, no budget.
    CREATE ROLE :"auditor" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT NOREPLICATION NOBYPASSRLS;
    ALTER ROLE :"auditor" SET synchronous_commit = on;
    ALTER ROLE :"auditor" SET idle_in_transaction_session_timeout = '10s';
    GRANT CONNECT ON DATABASE :"database" TO :"auditor";
    GRANT USAGE ON SCHEMA public TO :"auditor";
    GRANT SELECT, INSERT ON entry, opening, pending TO :"auditor";
    GRANT SELECT ON leaf, checkpoint, tree_head, key_record TO :"auditor";
    GRANT SELECT ON schema_version, bundle, statement, agreement TO :"auditor";
    -- Who is held, by keyed hash, and what clients are owed; not by which ids they know it.
    GRANT SELECT ON legal_hold TO :"auditor";
    GRANT SELECT (notice_id, client_id, kind, resource, owed_since, due, acknowledged, entry_id) ON notice TO :"auditor";
    -- A client's name and agreement, not its key.
    GRANT SELECT (client_id, agreement_id, state) ON client TO :"auditor";
\endif
