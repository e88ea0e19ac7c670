-- What should be here and is not.
CREATE TABLE losses (
    id INTEGER PRIMARY KEY,
    unix_ms INTEGER NOT NULL,
    cause TEXT NOT NULL,
    records INTEGER NOT NULL,
    explanation TEXT NOT NULL
) STRICT;

-- The latest jobs as people read them.
CREATE VIEW recent_jobs AS
SELECT
    datetime(began_unix_ms / 1000, 'unixepoch', 'localtime') AS began,
    connector,
    source,
    label,
    outcome,
    uid,
    duration_ms / 1000.0 AS seconds,
    waited_ms / 1000.0 AS waited_seconds,
    cpu_percent_mean AS cpu_percent,
    lease
FROM jobs
ORDER BY id DESC;
