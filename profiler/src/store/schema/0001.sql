-- Jobs that ended. The figures of the usage record are columns too, of type ANY: the program adds
-- one for each figure that it knows and that the table lacks.
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY,
    lease ANY NOT NULL,
    connector TEXT NOT NULL,
    source TEXT,
    label TEXT,
    outcome TEXT,
    uid INTEGER NOT NULL,
    pid INTEGER NOT NULL,
    began_unix_ms INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    waited_ms INTEGER NOT NULL,
    cpu_percent_mean REAL,
    cpu_percent_peak REAL,
    host_cpu_percent REAL,
    host_memory_percent REAL,
    device_latency_p50_us ANY,
    device_latency_p95_us ANY,
    device_latency_p99_us ANY,
    device_latency_max_us ANY,
    exit_status INTEGER,
    usage_source TEXT NOT NULL,
    usage_lost TEXT
) STRICT;

-- Serves queries by time, and makes sure that no job is there twice.
CREATE UNIQUE INDEX jobs_by_time ON jobs (began_unix_ms, lease);

CREATE TABLE connector_statistics (
    connector TEXT PRIMARY KEY,
    jobs INTEGER NOT NULL,
    duration_seconds REAL,
    duration_p50_seconds REAL,
    duration_p95_seconds REAL,
    cpu_cores REAL,
    cpu_cores_peak REAL,
    memory_bytes REAL,
    memory_peak_bytes ANY,
    read_bytes REAL,
    write_bytes REAL,
    io_operations REAL,
    optimal_concurrency INTEGER,
    updated_unix_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What was learned of a connector, as the program writes it.
CREATE TABLE learned (
    connector TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    updated_unix_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Leases that were open when this was written.
CREATE TABLE leases (
    lease ANY PRIMARY KEY,
    connector TEXT NOT NULL,
    uid INTEGER NOT NULL,
    pid INTEGER NOT NULL,
    began_unix_ms INTEGER NOT NULL,
    state TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Why limits are what they are.
CREATE TABLE decisions (
    id INTEGER PRIMARY KEY,
    unix_ms INTEGER NOT NULL,
    connector TEXT,
    decision TEXT NOT NULL,
    facts TEXT NOT NULL
) STRICT;

-- Who changed what.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    unix_ms INTEGER NOT NULL,
    uid INTEGER NOT NULL,
    pid INTEGER NOT NULL,
    action TEXT NOT NULL,
    subject TEXT,
    facts TEXT NOT NULL
) STRICT;
