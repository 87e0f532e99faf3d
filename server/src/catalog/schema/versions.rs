//! The statements of each version of the schema. A released version is never edited.

pub(super) const V1: &str = "
CREATE TABLE applications (
    name TEXT NOT NULL PRIMARY KEY,
    created_at_secs BIGINT NOT NULL
);

CREATE TABLE packs (
    id {IDENTITY},
    digest {BYTES} NOT NULL UNIQUE,
    len BIGINT NOT NULL
);

CREATE TABLE chunks (
    digest {BYTES} NOT NULL PRIMARY KEY,
    pack_id BIGINT NOT NULL REFERENCES packs (id),
    frame_offset BIGINT NOT NULL,
    stored_len BIGINT NOT NULL,
    plain_len BIGINT NOT NULL,
    encoding BIGINT NOT NULL
) {CLUSTERED};

CREATE TABLE leaves (
    digest {BYTES} NOT NULL PRIMARY KEY,
    span_len BIGINT NOT NULL,
    data_bytes BIGINT NOT NULL
) {CLUSTERED};

CREATE TABLE indexes (
    digest {BYTES} NOT NULL PRIMARY KEY,
    disk_len BIGINT NOT NULL,
    content {BYTES} NOT NULL,
    data_bytes BIGINT NOT NULL
) {CLUSTERED};

CREATE TABLE releases (
    id {IDENTITY},
    application TEXT NOT NULL REFERENCES applications (name),
    version TEXT NOT NULL,
    digest {BYTES} NOT NULL UNIQUE,
    machines TEXT NOT NULL,
    published_at_secs BIGINT NOT NULL,
    published_by TEXT NOT NULL,
    disk_bytes BIGINT NOT NULL,
    data_bytes BIGINT NOT NULL,
    UNIQUE (application, version)
);
CREATE INDEX releases_newest ON releases (application, id);

CREATE TABLE release_indexes (
    release_id BIGINT NOT NULL REFERENCES releases (id),
    index_digest {BYTES} NOT NULL REFERENCES indexes (digest),
    PRIMARY KEY (release_id, index_digest)
);
CREATE INDEX release_indexes_by_index ON release_indexes (index_digest);

CREATE TABLE channels (
    application TEXT NOT NULL REFERENCES applications (name),
    name TEXT NOT NULL,
    release_id BIGINT NOT NULL REFERENCES releases (id),
    sequence BIGINT NOT NULL,
    moved_at_secs BIGINT NOT NULL,
    PRIMARY KEY (application, name)
);

CREATE TABLE channel_moves (
    application TEXT NOT NULL,
    channel TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    release_id BIGINT NOT NULL REFERENCES releases (id),
    moved_at_secs BIGINT NOT NULL,
    moved_by TEXT NOT NULL,
    PRIMARY KEY (application, channel, sequence)
);

CREATE TABLE leases (
    id {BYTES} NOT NULL PRIMARY KEY,
    application TEXT NOT NULL,
    deadline_secs BIGINT NOT NULL
);
";

/// Adds lost packs, and the packs each leaf needs. For leaves of version 1 these are unknown, so
/// the leaves are deleted: the next push of their disks sends them again, without their chunks.
/// Reads do not use rows of leaves.
pub(super) const V2: &str = "
CREATE TABLE leaf_packs (
    leaf_digest {BYTES} NOT NULL,
    pack_id BIGINT NOT NULL REFERENCES packs (id),
    PRIMARY KEY (leaf_digest, pack_id)
) {CLUSTERED};

CREATE TABLE lost_packs (
    pack_id BIGINT NOT NULL PRIMARY KEY REFERENCES packs (id)
);

DELETE FROM leaves;
";

/// Adds deletion and collection. A deleted release keeps its row, because its version is never
/// reused and histories name it. The places of chunks no longer reference packs: deleting a pack
/// would search all of them.
pub(super) const V3: &str = "
ALTER TABLE releases ADD COLUMN deleted_at_secs BIGINT;
ALTER TABLE releases ADD COLUMN deleted_by TEXT;

ALTER TABLE leases ADD COLUMN generation BIGINT NOT NULL DEFAULT 0;
ALTER TABLE leases ADD COLUMN is_pull BIGINT NOT NULL DEFAULT 0;

CREATE TABLE places (
    digest {BYTES} NOT NULL PRIMARY KEY,
    pack_id BIGINT NOT NULL,
    frame_offset BIGINT NOT NULL,
    stored_len BIGINT NOT NULL,
    plain_len BIGINT NOT NULL,
    encoding BIGINT NOT NULL
) {CLUSTERED};
INSERT INTO places (digest, pack_id, frame_offset, stored_len, plain_len, encoding)
    SELECT digest, pack_id, frame_offset, stored_len, plain_len, encoding FROM chunks
    ORDER BY digest;
DROP TABLE chunks;
ALTER TABLE places RENAME TO chunks;
{PLACES_COVERED}
CREATE INDEX leaf_packs_by_pack ON leaf_packs (pack_id);

CREATE TABLE condemned_packs (
    pack_id BIGINT NOT NULL PRIMARY KEY REFERENCES packs (id),
    generation BIGINT NOT NULL,
    is_swept BIGINT NOT NULL
);

CREATE TABLE condemned_objects (
    kind TEXT NOT NULL,
    digest {BYTES} NOT NULL,
    generation BIGINT NOT NULL,
    is_swept BIGINT NOT NULL,
    PRIMARY KEY (kind, digest)
) {CLUSTERED};

CREATE TABLE counters (
    name TEXT NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO counters (name, value)
    VALUES ('generation', 0), ('sweeps', 0), ('litter', 1), ('collected', 0), ('published', 0);

CREATE TABLE pins (
    release_id BIGINT NOT NULL REFERENCES releases (id),
    name TEXT NOT NULL,
    reason TEXT NOT NULL,
    pinned_at_secs BIGINT NOT NULL,
    pinned_by TEXT NOT NULL,
    PRIMARY KEY (release_id, name)
);

CREATE TABLE hosts (
    host TEXT NOT NULL,
    application TEXT NOT NULL REFERENCES applications (name),
    instance TEXT NOT NULL,
    release_id BIGINT NOT NULL REFERENCES releases (id),
    channel TEXT,
    disks BIGINT NOT NULL,
    since_secs BIGINT NOT NULL,
    renewed_at_secs BIGINT NOT NULL,
    deadline_secs BIGINT NOT NULL,
    PRIMARY KEY (host, application, instance)
);
CREATE INDEX hosts_by_release ON hosts (release_id);

CREATE TABLE policies (
    application TEXT NOT NULL REFERENCES applications (name),
    channel TEXT NOT NULL,
    policy TEXT NOT NULL,
    set_at_secs BIGINT NOT NULL,
    set_by TEXT NOT NULL,
    PRIMARY KEY (application, channel)
);
";

/// Adds checks and their findings, and the tables of lost and damaged objects.
pub(super) const V4: &str = "
CREATE TABLE checks (
    run {IDENTITY},
    runner {BYTES} NOT NULL,
    beat_at_secs BIGINT NOT NULL,
    is_stopped BIGINT NOT NULL DEFAULT 0,
    started_at_secs BIGINT NOT NULL,
    completed_at_secs BIGINT,
    rate BIGINT NOT NULL,
    phase BIGINT NOT NULL DEFAULT 0,
    cursor TEXT NOT NULL DEFAULT '',
    objects BIGINT NOT NULL DEFAULT 0,
    bytes BIGINT NOT NULL DEFAULT 0,
    total_bytes BIGINT NOT NULL DEFAULT 0,
    reclaimable_count BIGINT NOT NULL DEFAULT 0,
    reclaimable_bytes BIGINT NOT NULL DEFAULT 0,
    failure TEXT
);

CREATE TABLE findings (
    run BIGINT NOT NULL,
    object TEXT NOT NULL,
    kind TEXT NOT NULL,
    what TEXT NOT NULL,
    class BIGINT NOT NULL,
    PRIMARY KEY (run, object)
) {CLUSTERED};

CREATE TABLE damaged (
    object TEXT NOT NULL PRIMARY KEY,
    what TEXT NOT NULL,
    found_at_secs BIGINT NOT NULL
) {CLUSTERED};

CREATE TABLE damage_needs (
    object TEXT NOT NULL,
    release_digest {BYTES} NOT NULL,
    PRIMARY KEY (object, release_digest)
) {CLUSTERED};
CREATE INDEX damage_needs_by_release ON damage_needs (release_digest);

CREATE TABLE lost_leaves (
    leaf_digest {BYTES} NOT NULL PRIMARY KEY
) {CLUSTERED};

CREATE TABLE index_leaves (
    leaf_digest {BYTES} NOT NULL,
    index_digest {BYTES} NOT NULL,
    PRIMARY KEY (leaf_digest, index_digest)
) {CLUSTERED};
";

/// Adds the audit log, webhooks with their outbox, and quotas. Existing releases are not logged;
/// their rows have the publisher and the time.
pub(super) const V5: &str = "
CREATE TABLE audit (
    sequence BIGINT NOT NULL PRIMARY KEY,
    at_secs BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    application TEXT,
    version TEXT,
    release_digest {BYTES},
    facts TEXT NOT NULL,
    digest {BYTES} NOT NULL
);
CREATE INDEX audit_by_application ON audit (application, sequence);
CREATE INDEX audit_by_action ON audit (action, sequence);
{AUDIT_ONLY_GROWS}

CREATE TABLE webhooks (
    id {BYTES} NOT NULL PRIMARY KEY,
    url TEXT NOT NULL,
    secret {BYTES} NOT NULL,
    events TEXT NOT NULL,
    application TEXT,
    created_at_secs BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    dropped_count BIGINT NOT NULL
);

CREATE TABLE deliveries (
    id {IDENTITY},
    webhook_id {BYTES} NOT NULL REFERENCES webhooks (id),
    sequence BIGINT NOT NULL REFERENCES audit (sequence),
    state TEXT NOT NULL,
    created_at_secs BIGINT NOT NULL,
    attempt_count BIGINT NOT NULL,
    next_at_secs BIGINT NOT NULL,
    settled_at_secs BIGINT NOT NULL,
    outcome TEXT NOT NULL
);
CREATE INDEX deliveries_due ON deliveries (webhook_id, state, next_at_secs);
CREATE INDEX deliveries_newest ON deliveries (webhook_id, id);

CREATE TABLE quotas (
    application TEXT NOT NULL PRIMARY KEY,
    data_bytes_max BIGINT,
    release_count_max BIGINT
);

CREATE TABLE lease_loads (
    lease_id {BYTES} NOT NULL PRIMARY KEY,
    data_bytes BIGINT NOT NULL
);
";

/// Adds an index for sweeps, which delete the leaves of one index after the other.
pub(super) const V6: &str = "
CREATE INDEX index_leaves_by_index ON index_leaves (index_digest);
";

/// Adds the opener of a lease, and a mark that objects may have been stored under it. Open push
/// leases get the mark, because nothing is known of them.
pub(super) const V7: &str = "
ALTER TABLE leases ADD COLUMN has_kept BIGINT NOT NULL DEFAULT 1;
ALTER TABLE leases ADD COLUMN opened_by TEXT NOT NULL DEFAULT '';
UPDATE leases SET has_kept = 0 WHERE is_pull = 1;
";

/// Adds the opening time of leases and the reporter of hosts. They bound the resources of each
/// token, and keep a token from reporting another token's hosts.
pub(super) const V8: &str = "
ALTER TABLE leases ADD COLUMN opened_at_secs BIGINT NOT NULL DEFAULT 0;
CREATE INDEX leases_by_opener ON leases (opened_by);
ALTER TABLE hosts ADD COLUMN reported_by TEXT NOT NULL DEFAULT '';
CREATE INDEX hosts_by_reporter ON hosts (reported_by);
{AUDIT_IS_NOT_REPLACED}
";

/// Adds jobs.
pub(super) const V9: &str = "
CREATE TABLE jobs (
    kind TEXT NOT NULL,
    run BIGINT NOT NULL,
    runner {BYTES} NOT NULL,
    beat_at_secs BIGINT NOT NULL,
    is_stopped BIGINT NOT NULL DEFAULT 0,
    started_at_secs BIGINT NOT NULL,
    ended_at_secs BIGINT,
    failure TEXT,
    cursor TEXT NOT NULL DEFAULT '',
    progress TEXT NOT NULL,
    request TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (kind, run)
) {CLUSTERED};
";

/// Copies checks to the jobs. An unfinished check goes on from its cursor. The table `checks` stays
/// for a registry of the previous version that still serves the catalog. A later migration drops
/// the table.
pub(super) const V10: &str = "
INSERT INTO jobs (kind, run, runner, beat_at_secs, is_stopped, started_at_secs, ended_at_secs,
        failure, cursor, progress)
    SELECT 'check', run, runner, beat_at_secs, is_stopped, started_at_secs,
        CASE WHEN failure IS NULL THEN completed_at_secs ELSE beat_at_secs END,
        failure, cursor,
        '{\"rate\":' || rate || ',\"phase\":' || phase || ',\"objects\":' || objects
            || ',\"bytes\":' || bytes || ',\"total_bytes\":' || total_bytes
            || ',\"reclaimable_count\":' || reclaimable_count
            || ',\"reclaimable_bytes\":' || reclaimable_bytes || '}'
    FROM checks;
";

/// Adds access tokens.
pub(super) const V11: &str = "
CREATE TABLE tokens (
    name TEXT NOT NULL PRIMARY KEY,
    digest {BYTES} NOT NULL UNIQUE,
    role TEXT NOT NULL,
    applications TEXT NOT NULL,
    created_at_secs BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    expires_at_secs BIGINT,
    revoked_at_secs BIGINT
);
";

/// Adds the identity of the registry, in one row.
pub(super) const V12: &str = "
CREATE TABLE identity (
    id BIGINT NOT NULL PRIMARY KEY,
    registry {BYTES} NOT NULL,
    store TEXT
);
";

/// Adds the subject of jobs, for kinds of which several run at once. A registry of an older version
/// knows only kinds without subjects. Numbers of jobs stay unique within their kind.
pub(super) const V13: &str = "
ALTER TABLE jobs ADD COLUMN subject TEXT NOT NULL DEFAULT '';
CREATE INDEX jobs_by_subject ON jobs (kind, subject, run);
";

/// Adds the counts of requests by which registries share their rates.
pub(super) const V14: &str = "
CREATE TABLE request_counts (
    bucket TEXT NOT NULL PRIMARY KEY,
    total BIGINT NOT NULL,
    added_at_secs BIGINT NOT NULL
);
";

/// Adds the relocation of the registry, in one row.
pub(super) const V15: &str = "
CREATE TABLE relocation (
    id BIGINT NOT NULL PRIMARY KEY,
    epoch BIGINT NOT NULL,
    state BIGINT NOT NULL,
    store TEXT NOT NULL,
    catalog TEXT NOT NULL,
    at_secs BIGINT NOT NULL
);
";

/// Adds mirrors.
pub(super) const V16: &str = "
CREATE TABLE mirrors (
    name TEXT NOT NULL PRIMARY KEY,
    direction TEXT NOT NULL,
    url TEXT NOT NULL,
    token TEXT,
    applications TEXT NOT NULL,
    channels TEXT NOT NULL,
    every_secs BIGINT NOT NULL,
    bytes_per_sec_max BIGINT,
    deletes BIGINT NOT NULL,
    overrides_channels BIGINT NOT NULL,
    request_count BIGINT NOT NULL,
    created_at_secs BIGINT NOT NULL,
    created_by TEXT NOT NULL
);
";

/// The names of all tables in use.
pub(in crate::catalog) const TABLES: [&str; 34] = [
    "applications",
    "packs",
    "chunks",
    "leaves",
    "leaf_packs",
    "lost_packs",
    "indexes",
    "releases",
    "release_indexes",
    "channels",
    "channel_moves",
    "leases",
    "audit",
    "webhooks",
    "deliveries",
    "quotas",
    "lease_loads",
    "condemned_packs",
    "condemned_objects",
    "counters",
    "pins",
    "hosts",
    "policies",
    "findings",
    "damaged",
    "damage_needs",
    "lost_leaves",
    "index_leaves",
    "jobs",
    "tokens",
    "identity",
    "request_counts",
    "relocation",
    "mirrors",
];
