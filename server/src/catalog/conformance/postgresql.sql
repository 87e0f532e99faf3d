
CREATE TABLE applications (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    created_at_secs BIGINT NOT NULL
);

CREATE TABLE packs (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest BYTEA NOT NULL UNIQUE,
    len BIGINT NOT NULL
);

CREATE TABLE chunks (
    digest BYTEA NOT NULL PRIMARY KEY,
    pack_id BIGINT NOT NULL REFERENCES packs (id),
    frame_offset BIGINT NOT NULL,
    stored_len BIGINT NOT NULL,
    plain_len BIGINT NOT NULL,
    encoding BIGINT NOT NULL
) ;

CREATE TABLE leaves (
    digest BYTEA NOT NULL PRIMARY KEY,
    span_len BIGINT NOT NULL,
    data_bytes BIGINT NOT NULL
) ;

CREATE TABLE indexes (
    digest BYTEA NOT NULL PRIMARY KEY,
    disk_len BIGINT NOT NULL,
    content BYTEA NOT NULL,
    data_bytes BIGINT NOT NULL
) ;

CREATE TABLE releases (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    application TEXT COLLATE "C" NOT NULL REFERENCES applications (name),
    version TEXT COLLATE "C" NOT NULL,
    digest BYTEA NOT NULL UNIQUE,
    machines TEXT COLLATE "C" NOT NULL,
    published_at_secs BIGINT NOT NULL,
    published_by TEXT COLLATE "C" NOT NULL,
    disk_bytes BIGINT NOT NULL,
    data_bytes BIGINT NOT NULL,
    UNIQUE (application, version)
);
CREATE INDEX releases_newest ON releases (application, id);

CREATE TABLE release_indexes (
    release_id BIGINT NOT NULL REFERENCES releases (id),
    index_digest BYTEA NOT NULL REFERENCES indexes (digest),
    PRIMARY KEY (release_id, index_digest)
);
CREATE INDEX release_indexes_by_index ON release_indexes (index_digest);

CREATE TABLE channels (
    application TEXT COLLATE "C" NOT NULL REFERENCES applications (name),
    name TEXT COLLATE "C" NOT NULL,
    release_id BIGINT NOT NULL REFERENCES releases (id),
    sequence BIGINT NOT NULL,
    moved_at_secs BIGINT NOT NULL,
    PRIMARY KEY (application, name)
);

CREATE TABLE channel_moves (
    application TEXT COLLATE "C" NOT NULL,
    channel TEXT COLLATE "C" NOT NULL,
    sequence BIGINT NOT NULL,
    release_id BIGINT NOT NULL REFERENCES releases (id),
    moved_at_secs BIGINT NOT NULL,
    moved_by TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (application, channel, sequence)
);

CREATE TABLE leases (
    id BYTEA NOT NULL PRIMARY KEY,
    application TEXT COLLATE "C" NOT NULL,
    deadline_secs BIGINT NOT NULL
);


CREATE TABLE leaf_packs (
    leaf_digest BYTEA NOT NULL,
    pack_id BIGINT NOT NULL REFERENCES packs (id),
    PRIMARY KEY (leaf_digest, pack_id)
) ;

CREATE TABLE lost_packs (
    pack_id BIGINT NOT NULL PRIMARY KEY REFERENCES packs (id)
);

DELETE FROM leaves;


ALTER TABLE releases ADD COLUMN deleted_at_secs BIGINT;
ALTER TABLE releases ADD COLUMN deleted_by TEXT COLLATE "C";

ALTER TABLE leases ADD COLUMN generation BIGINT NOT NULL DEFAULT 0;
ALTER TABLE leases ADD COLUMN is_pull BIGINT NOT NULL DEFAULT 0;

CREATE TABLE places (
    digest BYTEA NOT NULL PRIMARY KEY,
    pack_id BIGINT NOT NULL,
    frame_offset BIGINT NOT NULL,
    stored_len BIGINT NOT NULL,
    plain_len BIGINT NOT NULL,
    encoding BIGINT NOT NULL
) ;
INSERT INTO places (digest, pack_id, frame_offset, stored_len, plain_len, encoding)
    SELECT digest, pack_id, frame_offset, stored_len, plain_len, encoding FROM chunks
    ORDER BY digest;
DROP TABLE chunks;
ALTER TABLE places RENAME TO chunks;
ALTER TABLE chunks DROP CONSTRAINT places_pkey;
         ALTER TABLE chunks ADD CONSTRAINT chunks_pkey
             PRIMARY KEY (digest) INCLUDE (pack_id, stored_len);
CREATE INDEX leaf_packs_by_pack ON leaf_packs (pack_id);

CREATE TABLE condemned_packs (
    pack_id BIGINT NOT NULL PRIMARY KEY REFERENCES packs (id),
    generation BIGINT NOT NULL,
    is_swept BIGINT NOT NULL
);

CREATE TABLE condemned_objects (
    kind TEXT COLLATE "C" NOT NULL,
    digest BYTEA NOT NULL,
    generation BIGINT NOT NULL,
    is_swept BIGINT NOT NULL,
    PRIMARY KEY (kind, digest)
) ;

CREATE TABLE counters (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO counters (name, value)
    VALUES ('generation', 0), ('sweeps', 0), ('litter', 1), ('collected', 0), ('published', 0);

CREATE TABLE pins (
    release_id BIGINT NOT NULL REFERENCES releases (id),
    name TEXT COLLATE "C" NOT NULL,
    reason TEXT COLLATE "C" NOT NULL,
    pinned_at_secs BIGINT NOT NULL,
    pinned_by TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (release_id, name)
);

CREATE TABLE hosts (
    host TEXT COLLATE "C" NOT NULL,
    application TEXT COLLATE "C" NOT NULL REFERENCES applications (name),
    instance TEXT COLLATE "C" NOT NULL,
    release_id BIGINT NOT NULL REFERENCES releases (id),
    channel TEXT COLLATE "C",
    disks BIGINT NOT NULL,
    since_secs BIGINT NOT NULL,
    renewed_at_secs BIGINT NOT NULL,
    deadline_secs BIGINT NOT NULL,
    PRIMARY KEY (host, application, instance)
);
CREATE INDEX hosts_by_release ON hosts (release_id);

CREATE TABLE policies (
    application TEXT COLLATE "C" NOT NULL REFERENCES applications (name),
    channel TEXT COLLATE "C" NOT NULL,
    policy TEXT COLLATE "C" NOT NULL,
    set_at_secs BIGINT NOT NULL,
    set_by TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (application, channel)
);


CREATE TABLE checks (
    run BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    runner BYTEA NOT NULL,
    beat_at_secs BIGINT NOT NULL,
    is_stopped BIGINT NOT NULL DEFAULT 0,
    started_at_secs BIGINT NOT NULL,
    completed_at_secs BIGINT,
    rate BIGINT NOT NULL,
    phase BIGINT NOT NULL DEFAULT 0,
    cursor TEXT COLLATE "C" NOT NULL DEFAULT '',
    objects BIGINT NOT NULL DEFAULT 0,
    bytes BIGINT NOT NULL DEFAULT 0,
    total_bytes BIGINT NOT NULL DEFAULT 0,
    reclaimable_count BIGINT NOT NULL DEFAULT 0,
    reclaimable_bytes BIGINT NOT NULL DEFAULT 0,
    failure TEXT COLLATE "C"
);

CREATE TABLE findings (
    run BIGINT NOT NULL,
    object TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    what TEXT COLLATE "C" NOT NULL,
    class BIGINT NOT NULL,
    PRIMARY KEY (run, object)
) ;

CREATE TABLE damaged (
    object TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    what TEXT COLLATE "C" NOT NULL,
    found_at_secs BIGINT NOT NULL
) ;

CREATE TABLE damage_needs (
    object TEXT COLLATE "C" NOT NULL,
    release_digest BYTEA NOT NULL,
    PRIMARY KEY (object, release_digest)
) ;
CREATE INDEX damage_needs_by_release ON damage_needs (release_digest);

CREATE TABLE lost_leaves (
    leaf_digest BYTEA NOT NULL PRIMARY KEY
) ;

CREATE TABLE index_leaves (
    leaf_digest BYTEA NOT NULL,
    index_digest BYTEA NOT NULL,
    PRIMARY KEY (leaf_digest, index_digest)
) ;


CREATE TABLE audit (
    sequence BIGINT NOT NULL PRIMARY KEY,
    at_secs BIGINT NOT NULL,
    actor TEXT COLLATE "C" NOT NULL,
    action TEXT COLLATE "C" NOT NULL,
    application TEXT COLLATE "C",
    version TEXT COLLATE "C",
    release_digest BYTEA,
    facts TEXT COLLATE "C" NOT NULL,
    digest BYTEA NOT NULL
);
CREATE INDEX audit_by_application ON audit (application, sequence);
CREATE INDEX audit_by_action ON audit (action, sequence);
CREATE FUNCTION audit_only_grows() RETURNS trigger LANGUAGE plpgsql AS
             $f$ BEGIN RAISE EXCEPTION 'the audit log only grows'; END $f$;
         CREATE TRIGGER audit_is_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
             FOR EACH STATEMENT EXECUTE FUNCTION audit_only_grows();

CREATE TABLE webhooks (
    id BYTEA NOT NULL PRIMARY KEY,
    url TEXT COLLATE "C" NOT NULL,
    secret BYTEA NOT NULL,
    events TEXT COLLATE "C" NOT NULL,
    application TEXT COLLATE "C",
    created_at_secs BIGINT NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    dropped_count BIGINT NOT NULL
);

CREATE TABLE deliveries (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    webhook_id BYTEA NOT NULL REFERENCES webhooks (id),
    sequence BIGINT NOT NULL REFERENCES audit (sequence),
    state TEXT COLLATE "C" NOT NULL,
    created_at_secs BIGINT NOT NULL,
    attempt_count BIGINT NOT NULL,
    next_at_secs BIGINT NOT NULL,
    settled_at_secs BIGINT NOT NULL,
    outcome TEXT COLLATE "C" NOT NULL
);
CREATE INDEX deliveries_due ON deliveries (webhook_id, state, next_at_secs);
CREATE INDEX deliveries_newest ON deliveries (webhook_id, id);

CREATE TABLE quotas (
    application TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    data_bytes_max BIGINT,
    release_count_max BIGINT
);

CREATE TABLE lease_loads (
    lease_id BYTEA NOT NULL PRIMARY KEY,
    data_bytes BIGINT NOT NULL
);


CREATE INDEX index_leaves_by_index ON index_leaves (index_digest);


ALTER TABLE leases ADD COLUMN has_kept BIGINT NOT NULL DEFAULT 1;
ALTER TABLE leases ADD COLUMN opened_by TEXT COLLATE "C" NOT NULL DEFAULT '';
UPDATE leases SET has_kept = 0 WHERE is_pull = 1;


ALTER TABLE leases ADD COLUMN opened_at_secs BIGINT NOT NULL DEFAULT 0;
CREATE INDEX leases_by_opener ON leases (opened_by);
ALTER TABLE hosts ADD COLUMN reported_by TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX hosts_by_reporter ON hosts (reported_by);



CREATE TABLE jobs (
    kind TEXT COLLATE "C" NOT NULL,
    run BIGINT NOT NULL,
    runner BYTEA NOT NULL,
    beat_at_secs BIGINT NOT NULL,
    is_stopped BIGINT NOT NULL DEFAULT 0,
    started_at_secs BIGINT NOT NULL,
    ended_at_secs BIGINT,
    failure TEXT COLLATE "C",
    cursor TEXT COLLATE "C" NOT NULL DEFAULT '',
    progress TEXT COLLATE "C" NOT NULL,
    request TEXT COLLATE "C" NOT NULL DEFAULT '',
    PRIMARY KEY (kind, run)
) ;


INSERT INTO jobs (kind, run, runner, beat_at_secs, is_stopped, started_at_secs, ended_at_secs,
        failure, cursor, progress)
    SELECT 'check', run, runner, beat_at_secs, is_stopped, started_at_secs,
        CASE WHEN failure IS NULL THEN completed_at_secs ELSE beat_at_secs END,
        failure, cursor,
        '{"rate":' || rate || ',"phase":' || phase || ',"objects":' || objects
            || ',"bytes":' || bytes || ',"total_bytes":' || total_bytes
            || ',"reclaimable_count":' || reclaimable_count
            || ',"reclaimable_bytes":' || reclaimable_bytes || '}'
    FROM checks;


CREATE TABLE tokens (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    digest BYTEA NOT NULL UNIQUE,
    role TEXT COLLATE "C" NOT NULL,
    applications TEXT COLLATE "C" NOT NULL,
    created_at_secs BIGINT NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    expires_at_secs BIGINT,
    revoked_at_secs BIGINT
);


CREATE TABLE identity (
    id BIGINT NOT NULL PRIMARY KEY,
    registry BYTEA NOT NULL,
    store TEXT COLLATE "C"
);


ALTER TABLE jobs ADD COLUMN subject TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX jobs_by_subject ON jobs (kind, subject, run);


CREATE TABLE request_counts (
    bucket TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    total BIGINT NOT NULL,
    added_at_secs BIGINT NOT NULL
);


CREATE TABLE relocation (
    id BIGINT NOT NULL PRIMARY KEY,
    epoch BIGINT NOT NULL,
    state BIGINT NOT NULL,
    store TEXT COLLATE "C" NOT NULL,
    catalog TEXT COLLATE "C" NOT NULL,
    at_secs BIGINT NOT NULL
);


CREATE TABLE mirrors (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    direction TEXT COLLATE "C" NOT NULL,
    url TEXT COLLATE "C" NOT NULL,
    token TEXT COLLATE "C",
    applications TEXT COLLATE "C" NOT NULL,
    channels TEXT COLLATE "C" NOT NULL,
    every_secs BIGINT NOT NULL,
    bytes_per_sec_max BIGINT,
    deletes BIGINT NOT NULL,
    overrides_channels BIGINT NOT NULL,
    request_count BIGINT NOT NULL,
    created_at_secs BIGINT NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL
);

PREPARE s0 AS DELETE FROM chunks WHERE digest > $1 AND digest <= $2 AND pack_id IN
                           (SELECT pack_id FROM condemned_packs WHERE is_swept = 1);

PREPARE s1 AS DELETE FROM chunks WHERE digest > $1 AND pack_id IN
                           (SELECT pack_id FROM condemned_packs WHERE is_swept = 1);

PREPARE s2 AS DELETE FROM condemned_objects WHERE kind = $1 AND digest = $2 AND is_swept = 0;

PREPARE s3 AS DELETE FROM condemned_objects WHERE kind = $1 AND digest = $2 AND is_swept = 1;

PREPARE s4 AS DELETE FROM condemned_packs WHERE is_swept = 0
               AND pack_id = (SELECT id FROM packs WHERE digest = $1);

PREPARE s5 AS DELETE FROM condemned_packs WHERE pack_id = $1;

PREPARE s6 AS DELETE FROM damage_needs WHERE object = $1;

PREPARE s7 AS DELETE FROM damaged WHERE object = $1;

PREPARE s8 AS DELETE FROM deliveries WHERE id IN (
                   SELECT id FROM deliveries WHERE webhook_id = $1 AND state <> $2
                   ORDER BY id LIMIT $3);

PREPARE s9 AS DELETE FROM deliveries WHERE webhook_id = $1;

PREPARE s10 AS DELETE FROM findings WHERE run < $1;

PREPARE s11 AS DELETE FROM hosts WHERE deadline_secs < $1;

PREPARE s12 AS DELETE FROM hosts WHERE host = $1 AND ($2 = '' OR application = $2)
                   AND ($3 = '' OR instance = $3);

PREPARE s13 AS DELETE FROM hosts WHERE release_id = $1;

PREPARE s14 AS DELETE FROM index_leaves WHERE index_digest = $1;

PREPARE s15 AS DELETE FROM indexes WHERE digest = $1;

PREPARE s16 AS DELETE FROM jobs WHERE kind = $1 AND subject = $2;

PREPARE s17 AS DELETE FROM jobs WHERE kind = $1 AND subject = $2
                       AND (ended_at_secs IS NULL OR failure IS NOT NULL);

PREPARE s18 AS DELETE FROM jobs WHERE kind = $1 AND subject = $2
                       AND run < (SELECT MAX(run) FROM jobs WHERE kind = $1 AND subject = $2);

PREPARE s19 AS DELETE FROM leaf_packs WHERE leaf_digest = $1;

PREPARE s20 AS DELETE FROM lease_loads WHERE lease_id NOT IN (SELECT id FROM leases);

PREPARE s21 AS DELETE FROM leases WHERE deadline_secs < 0;

PREPARE s22 AS DELETE FROM leases WHERE deadline_secs <= $1;

PREPARE s23 AS DELETE FROM leases WHERE deadline_secs <= $1 AND has_kept = 1;

PREPARE s24 AS DELETE FROM leases WHERE id = $1;

PREPARE s25 AS DELETE FROM leases WHERE id = $1 AND has_kept = 1;

PREPARE s26 AS DELETE FROM leaves WHERE digest = $1;

PREPARE s27 AS DELETE FROM lost_leaves WHERE leaf_digest = $1;

PREPARE s28 AS DELETE FROM lost_packs WHERE pack_id = $1;

PREPARE s29 AS DELETE FROM mirrors WHERE name = $1;

PREPARE s30 AS DELETE FROM packs WHERE id = $1;

PREPARE s31 AS DELETE FROM pins WHERE release_id = $1;

PREPARE s32 AS DELETE FROM pins WHERE release_id = $1 AND name = $2;

PREPARE s33 AS DELETE FROM policies WHERE application = $1 AND channel = $2;

PREPARE s34 AS DELETE FROM release_indexes WHERE index_digest = $1;

PREPARE s35 AS DELETE FROM release_indexes WHERE release_id = $1;

PREPARE s36 AS DELETE FROM request_counts WHERE added_at_secs < $1;

PREPARE s37 AS DELETE FROM webhooks WHERE id = $1;

PREPARE s38 AS INSERT INTO applications (name, created_at_secs) VALUES ($1, $2)
               ON CONFLICT (name) DO NOTHING;

PREPARE s39 AS INSERT INTO audit (sequence, at_secs, actor, action, application, version,
                                  release_digest, facts, digest)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9);

PREPARE s40 AS INSERT INTO channel_moves
                       (application, channel, sequence, release_id, moved_at_secs, moved_by)
                   VALUES ($1, $2, $3, $4, $5, $6);

PREPARE s41 AS INSERT INTO channels (application, name, release_id, sequence, moved_at_secs)
                   VALUES ($1, $2, $3, $4, $5)
                   ON CONFLICT (application, name) DO UPDATE SET release_id = excluded.release_id,
                       sequence = excluded.sequence, moved_at_secs = excluded.moved_at_secs;

PREPARE s42 AS INSERT INTO chunks (digest, pack_id, frame_offset, stored_len, plain_len,
                                       encoding)
                   VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (digest) DO UPDATE
                   SET pack_id = excluded.pack_id, frame_offset = excluded.frame_offset,
                       stored_len = excluded.stored_len, plain_len = excluded.plain_len,
                       encoding = excluded.encoding;

PREPARE s43 AS INSERT INTO condemned_objects (kind, digest, generation, is_swept)
               VALUES ($1, $2, $3, 0) ON CONFLICT (kind, digest) DO NOTHING;

PREPARE s44 AS INSERT INTO condemned_packs (pack_id, generation, is_swept)
               SELECT id, $1, 0 FROM packs WHERE digest = $2 ON CONFLICT (pack_id) DO NOTHING;

PREPARE s45 AS INSERT INTO damage_needs (object, release_digest) VALUES ($1, $2)
               ON CONFLICT (object, release_digest) DO NOTHING;

PREPARE s46 AS INSERT INTO damaged (object, what, found_at_secs) VALUES ($1, $2, $3)
               ON CONFLICT (object) DO UPDATE SET what = excluded.what;

PREPARE s47 AS INSERT INTO deliveries (webhook_id, sequence, state, created_at_secs,
                       attempt_count, next_at_secs, settled_at_secs, outcome)
                   VALUES ($1, $2, $3, $4, 0, $4, 0, '');

PREPARE s48 AS INSERT INTO findings (run, object, kind, what, class) VALUES ($1, $2, $3, $4, $5)
               ON CONFLICT (run, object) DO UPDATE SET what = excluded.what, class = excluded.class
               WHERE excluded.class < findings.class;

PREPARE s49 AS INSERT INTO hosts (host, application, instance, release_id, channel, disks,
                   since_secs, renewed_at_secs, deadline_secs, reported_by)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9)
               ON CONFLICT (host, application, instance) DO UPDATE SET
                   since_secs = CASE WHEN hosts.release_id = excluded.release_id
                                     THEN hosts.since_secs ELSE excluded.since_secs END,
                   release_id = excluded.release_id, channel = excluded.channel,
                   disks = excluded.disks, renewed_at_secs = excluded.renewed_at_secs,
                   deadline_secs = excluded.deadline_secs,
                   reported_by = CASE WHEN $10 = 1 AND hosts.reported_by <> ''
                                      THEN hosts.reported_by ELSE excluded.reported_by END;

PREPARE s50 AS INSERT INTO identity (id, registry) VALUES (1, $1);

PREPARE s51 AS INSERT INTO index_leaves (leaf_digest, index_digest) VALUES ($1, $2)
               ON CONFLICT (leaf_digest, index_digest) DO NOTHING;

PREPARE s52 AS INSERT INTO indexes (digest, disk_len, content, data_bytes)
               VALUES ($1, $2, $3, $4) ON CONFLICT (digest) DO NOTHING;

PREPARE s53 AS INSERT INTO jobs
                           (kind, subject, run, runner, beat_at_secs, started_at_secs, progress)
                       VALUES ($1, $2, $3, $4, $5, $5, $6);

PREPARE s54 AS INSERT INTO leaf_packs (leaf_digest, pack_id) VALUES ($1, $2);

PREPARE s55 AS INSERT INTO lease_loads (lease_id, data_bytes) VALUES ($1, $2)
               ON CONFLICT (lease_id) DO UPDATE SET data_bytes = lease_loads.data_bytes
                   + excluded.data_bytes;

PREPARE s56 AS INSERT INTO leases (id, application, deadline_secs, generation, is_pull, has_kept,
                                   opened_by, opened_at_secs)
               VALUES ($1, $2, $3, $4, $5, 0, $6, $7);

PREPARE s57 AS INSERT INTO leaves (digest, span_len, data_bytes) VALUES ($1, $2, $3)
               ON CONFLICT (digest) DO NOTHING;

PREPARE s58 AS INSERT INTO lost_leaves (leaf_digest) VALUES ($1) ON CONFLICT DO NOTHING;

PREPARE s59 AS INSERT INTO lost_packs (pack_id) SELECT id FROM packs WHERE digest = $1
               ON CONFLICT (pack_id) DO NOTHING;

PREPARE s60 AS INSERT INTO mirrors (name, direction, url, token, applications, channels,
                   every_secs, bytes_per_sec_max, deletes, overrides_channels, request_count,
                   created_at_secs, created_by)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, $11, $12);

PREPARE s61 AS INSERT INTO packs (digest, len) VALUES ($1, $2)
               ON CONFLICT (digest) DO UPDATE SET len = excluded.len RETURNING id;

PREPARE s62 AS INSERT INTO packs (digest, len) VALUES ($1, $2) ON CONFLICT DO NOTHING;

PREPARE s63 AS INSERT INTO pins (release_id, name, reason, pinned_at_secs, pinned_by)
               VALUES ($1, $2, $3, $4, $5)
               ON CONFLICT (release_id, name) DO UPDATE SET reason = excluded.reason,
                   pinned_at_secs = excluded.pinned_at_secs, pinned_by = excluded.pinned_by;

PREPARE s64 AS INSERT INTO policies (application, channel, policy, set_at_secs, set_by)
               VALUES ($1, $2, $3, $4, $5)
               ON CONFLICT (application, channel) DO UPDATE SET policy = excluded.policy,
                   set_at_secs = excluded.set_at_secs, set_by = excluded.set_by;

PREPARE s65 AS INSERT INTO quotas (application, data_bytes_max, release_count_max) VALUES ($1, $2, $3)
         ON CONFLICT (application) DO UPDATE SET data_bytes_max = excluded.data_bytes_max,
             release_count_max = excluded.release_count_max;

PREPARE s66 AS INSERT INTO release_indexes (release_id, index_digest)
               SELECT r.id, i.digest FROM releases r, indexes i
               WHERE r.digest = $1 AND i.digest = $2
               ON CONFLICT (release_id, index_digest) DO NOTHING;

PREPARE s67 AS INSERT INTO releases (application, version, digest, machines, published_at_secs,
                                     published_by, disk_bytes, data_bytes)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING;

PREPARE s68 AS INSERT INTO relocation (id, epoch, state, store, catalog, at_secs)
               VALUES (1, 0, $1, $2, $3, $4)
               ON CONFLICT (id) DO UPDATE SET state = excluded.state, store = excluded.store,
                   catalog = excluded.catalog, at_secs = excluded.at_secs;

PREPARE s69 AS INSERT INTO request_counts (bucket, total, added_at_secs) VALUES ($1, $2, $3)
               ON CONFLICT (bucket) DO UPDATE SET total = request_counts.total + excluded.total,
                   added_at_secs = excluded.added_at_secs;

PREPARE s70 AS INSERT INTO tokens (name, digest, role, applications, created_at_secs, created_by,
                                   expires_at_secs)
               VALUES ($1, $2, $3, $4, $5, $6, $7);

PREPARE s71 AS INSERT INTO webhooks (id, url, secret, events, application, created_at_secs,
                                     created_by, dropped_count)
               VALUES ($1, $2, $3, $4, $5, $6, $7, 0);

PREPARE s72 AS SELECT 'leaf', digest FROM leaves UNION ALL SELECT 'index', digest FROM indexes;

PREPARE s73 AS SELECT (SELECT COUNT(*) FROM condemned_packs WHERE is_swept = $1)
                    + (SELECT COUNT(*) FROM condemned_objects WHERE is_swept = $1);

PREPARE s74 AS SELECT 1 FROM applications WHERE name = $1;

PREPARE s75 AS SELECT 1 FROM condemned_objects
               WHERE kind = $1 AND digest = $2 AND (generation <= $3 OR is_swept = 1);

PREPARE s76 AS SELECT 1 FROM condemned_objects WHERE kind = $1 AND digest = $2 AND is_swept = 1;

PREPARE s77 AS SELECT 1 FROM condemned_packs k JOIN packs p ON p.id = k.pack_id
               WHERE p.digest = $1 AND k.is_swept = 1;

PREPARE s78 AS SELECT 1 FROM damaged WHERE object = $1;

PREPARE s79 AS SELECT 1 FROM hosts WHERE host = $1 AND application = $2 AND instance = $3;

PREPARE s80 AS SELECT 1 FROM hosts WHERE host = $1 AND application = $2 AND reported_by <> $3
                   AND reported_by <> '' AND deadline_secs > $4;

PREPARE s81 AS SELECT 1 FROM index_leaves i
             JOIN release_indexes n ON n.index_digest = i.index_digest
             WHERE i.leaf_digest = $1 LIMIT 1;

PREPARE s82 AS SELECT 1 FROM indexes x WHERE x.digest = $1 AND NOT EXISTS (SELECT 1 FROM condemned_objects o
                WHERE o.kind = 'index' AND o.digest = x.digest AND (o.generation <= $2 OR o.is_swept = 1));

PREPARE s83 AS SELECT 1 FROM lost_leaves x
               JOIN index_leaves i ON i.leaf_digest = x.leaf_digest
               JOIN release_indexes n ON n.index_digest = i.index_digest
               WHERE NOT EXISTS (SELECT 1 FROM leaves f WHERE f.digest = x.leaf_digest) LIMIT 1;

PREPARE s84 AS SELECT 1 FROM lost_leaves x WHERE x.leaf_digest = $1
               AND NOT EXISTS (SELECT 1 FROM leaves f WHERE f.digest = x.leaf_digest);

PREPARE s85 AS SELECT 1 FROM lost_packs l JOIN packs k ON k.id = l.pack_id WHERE k.digest = $1;

PREPARE s86 AS SELECT 1 FROM packs c WHERE c.id = $1 AND (EXISTS (SELECT 1 FROM lost_packs l WHERE l.pack_id = c.id)
              OR EXISTS (SELECT 1 FROM condemned_packs k WHERE k.pack_id = c.id AND (k.generation <= $2 OR k.is_swept = 1)));

PREPARE s87 AS SELECT 1 FROM packs k JOIN leaf_packs p ON p.pack_id = k.id
             JOIN index_leaves i ON i.leaf_digest = p.leaf_digest
             JOIN release_indexes n ON n.index_digest = i.index_digest
             WHERE k.digest = $1 LIMIT 1;

PREPARE s88 AS SELECT 1 FROM pins WHERE release_id = $1 AND name = $2;

PREPARE s89 AS SELECT 1 FROM release_indexes WHERE index_digest = $1 LIMIT 1;

PREPARE s90 AS SELECT 1 FROM releases WHERE digest = $1 AND deleted_at_secs IS NULL;

PREPARE s91 AS SELECT 1 FROM tokens WHERE name = $1;

PREPARE s92 AS SELECT CAST(COALESCE(SUM(data_bytes), 0) AS BIGINT), COUNT(*) FROM releases
               WHERE application = $1 AND deleted_at_secs IS NULL;

PREPARE s93 AS SELECT CAST(COALESCE(SUM(len), 0) AS BIGINT) FROM packs;

PREPARE s94 AS SELECT COALESCE(MAX(run), 0) + 1 FROM jobs WHERE kind = $1;

PREPARE s95 AS SELECT COUNT(*) FROM channels WHERE application = $1;

PREPARE s96 AS SELECT COUNT(*) FROM deliveries WHERE webhook_id = $1 AND state IN ($2, $3);

PREPARE s97 AS SELECT COUNT(*) FROM hosts;

PREPARE s98 AS SELECT COUNT(*) FROM hosts WHERE host = $1 AND application = $2;

PREPARE s99 AS SELECT COUNT(*) FROM hosts WHERE reported_by = $1;

PREPARE s100 AS SELECT COUNT(*) FROM leases;

PREPARE s101 AS SELECT COUNT(*) FROM leases WHERE opened_by = $1;

PREPARE s102 AS SELECT COUNT(*) FROM mirrors;

PREPARE s103 AS SELECT COUNT(*) FROM pins WHERE release_id = $1;

PREPARE s104 AS SELECT COUNT(*) FROM tokens WHERE revoked_at_secs IS NULL
               AND (expires_at_secs IS NULL OR expires_at_secs > $1);

PREPARE s105 AS SELECT COUNT(*) FROM webhooks;

PREPARE s106 AS SELECT COUNT(*), COALESCE(MAX(deadline_secs), 0) FROM leases WHERE generation < $1;

PREPARE s107 AS SELECT COUNT(*), MIN(created_at_secs) FROM deliveries
               WHERE webhook_id = $1 AND state = $2;

PREPARE s108 AS SELECT DISTINCT application FROM policies ORDER BY application;

PREPARE s109 AS SELECT DISTINCT host FROM hosts
               WHERE host > $1 AND ($2 = '' OR application = $2) ORDER BY host LIMIT $3;

PREPARE s110 AS SELECT DISTINCT k.digest FROM lost_packs l JOIN packs k ON k.id = l.pack_id
               JOIN leaf_packs p ON p.pack_id = l.pack_id
               JOIN index_leaves i ON i.leaf_digest = p.leaf_digest
               JOIN release_indexes n ON n.index_digest = i.index_digest
               JOIN releases r ON r.id = n.release_id WHERE r.digest = $1;

PREPARE s111 AS SELECT DISTINCT n.index_digest FROM index_leaves i
             JOIN release_indexes n ON n.index_digest = i.index_digest WHERE i.leaf_digest = $1;

PREPARE s112 AS SELECT DISTINCT n.index_digest FROM packs k JOIN leaf_packs p ON p.pack_id = k.id
             JOIN index_leaves i ON i.leaf_digest = p.leaf_digest
             JOIN release_indexes n ON n.index_digest = i.index_digest WHERE k.digest = $1;

PREPARE s113 AS SELECT DISTINCT r.digest, m.channel
               FROM channel_moves m
               JOIN channels c ON c.application = m.application AND c.name = m.channel
               JOIN releases r ON r.id = m.release_id
               WHERE m.application = $1 AND c.release_id <> m.release_id
                   AND c.sequence - m.sequence <= $2 AND r.deleted_at_secs IS NULL
               ORDER BY m.channel;

PREPARE s114 AS SELECT DISTINCT x.leaf_digest FROM lost_leaves x
               JOIN index_leaves i ON i.leaf_digest = x.leaf_digest
               JOIN release_indexes n ON n.index_digest = i.index_digest
               JOIN releases r ON r.id = n.release_id
               WHERE r.digest = $1
                 AND NOT EXISTS (SELECT 1 FROM leaves f WHERE f.digest = x.leaf_digest);

PREPARE s115 AS SELECT MAX(ended_at_secs) FROM jobs
               WHERE kind = $1 AND subject = $2 AND failure IS NULL;

PREPARE s116 AS SELECT a.name, a.created_at_secs,
                 (SELECT COUNT(*) FROM releases r
                  WHERE r.application = a.name AND r.deleted_at_secs IS NULL),
                 (SELECT r.version FROM releases r
                  WHERE r.application = a.name AND r.deleted_at_secs IS NULL
                  ORDER BY r.id DESC LIMIT 1)
             FROM applications a WHERE a.name = $1;

PREPARE s117 AS SELECT a.name, a.created_at_secs,
                 (SELECT COUNT(*) FROM releases r
                  WHERE r.application = a.name AND r.deleted_at_secs IS NULL),
                 (SELECT r.version FROM releases r
                  WHERE r.application = a.name AND r.deleted_at_secs IS NULL
                  ORDER BY r.id DESC LIMIT 1)
             FROM applications a WHERE a.name > $1 ORDER BY a.name LIMIT $2;

PREPARE s118 AS SELECT a.sequence, a.at_secs, a.actor, a.action, a.application, a.version,
                 a.release_digest, a.facts, a.digest FROM audit a WHERE (CAST($1 AS TEXT) IS NULL OR a.application = $1) AND (CAST($2 AS TEXT) IS NULL OR a.action = $2)
         AND (CAST($3 AS TEXT) IS NULL OR a.actor = $3) AND a.sequence < $4 AND a.at_secs >= $5
         ORDER BY a.sequence DESC LIMIT $6;

PREPARE s119 AS SELECT a.sequence, a.at_secs, a.actor, a.action, a.application, a.version,
                 a.release_digest, a.facts, a.digest FROM audit a WHERE (CAST($1 AS TEXT) IS NULL OR a.application = $1) AND a.action = $2
         AND (CAST($3 AS TEXT) IS NULL OR a.actor = $3) AND a.sequence < $4 AND a.at_secs >= $5
         ORDER BY a.sequence DESC LIMIT $6;

PREPARE s120 AS SELECT a.sequence, a.at_secs, a.actor, a.action, a.application, a.version,
                 a.release_digest, a.facts, a.digest FROM audit a WHERE a.application = $1 AND (CAST($2 AS TEXT) IS NULL OR a.action = $2)
         AND (CAST($3 AS TEXT) IS NULL OR a.actor = $3) AND a.sequence < $4 AND a.at_secs >= $5
         ORDER BY a.sequence DESC LIMIT $6;

PREPARE s121 AS SELECT a.sequence, a.at_secs, a.actor, a.action, a.application, a.version,
                 a.release_digest, a.facts, a.digest, d.id, d.attempt_count, d.created_at_secs FROM deliveries d JOIN audit a ON a.sequence = d.sequence
         WHERE d.webhook_id = $1 AND d.state = $2 AND d.next_at_secs <= $3
         ORDER BY d.next_at_secs, d.id LIMIT 1;

PREPARE s122 AS SELECT a.sequence, a.at_secs, a.actor, a.action, a.application, a.version,
                 a.release_digest, a.facts, a.digest, d.id, d.state, d.attempt_count, d.next_at_secs, d.outcome FROM deliveries d JOIN audit a ON a.sequence = d.sequence
         WHERE d.webhook_id = $1 AND d.id < $2 ORDER BY d.id DESC LIMIT $3;

PREPARE s123 AS SELECT application, deadline_secs, generation, is_pull, has_kept FROM leases
               WHERE id = $1 AND deadline_secs > $2;

PREPARE s124 AS SELECT application, opened_by FROM leases WHERE id = $1;

PREPARE s125 AS SELECT c.application, c.name FROM channels c JOIN channel_moves m
               ON m.application = c.application AND m.channel = c.name AND m.sequence = c.sequence
               WHERE m.release_id <> c.release_id LIMIT $1;

PREPARE s126 AS SELECT c.name, r.digest, r.version, c.sequence, c.moved_at_secs
             FROM channels c JOIN releases r ON r.id = c.release_id WHERE c.application = $1 AND c.name = $2;

PREPARE s127 AS SELECT c.name, r.digest, r.version, c.sequence, c.moved_at_secs
             FROM channels c JOIN releases r ON r.id = c.release_id WHERE c.application = $1 ORDER BY c.name;

PREPARE s128 AS SELECT channel, policy, set_at_secs, set_by FROM policies
               WHERE application = $1 ORDER BY channel;

PREPARE s129 AS SELECT d.object, d.what FROM damage_needs n JOIN damaged d ON d.object = n.object
               WHERE n.release_digest = $1 ORDER BY d.object;

PREPARE s130 AS SELECT data_bytes FROM lease_loads WHERE lease_id = $1;

PREPARE s131 AS SELECT data_bytes_max, release_count_max FROM quotas WHERE application = $1;

PREPARE s132 AS SELECT digest FROM chunks WHERE digest > $1 ORDER BY digest LIMIT 1 OFFSET $2;

PREPARE s133 AS SELECT digest FROM packs WHERE id = $1;

PREPARE s134 AS SELECT digest FROM releases
                       WHERE digest = $1 AND application = $2 AND deleted_at_secs IS NULL;

PREPARE s135 AS SELECT digest FROM releases
               WHERE application = $1 AND version = $2 AND deleted_at_secs IS NULL;

PREPARE s136 AS SELECT digest, disk_len, content, data_bytes FROM indexes WHERE digest = $1;

PREPARE s137 AS SELECT digest, len FROM packs WHERE id = $1;

PREPARE s138 AS SELECT digest, pack_id, stored_len FROM chunks WHERE digest > $1
                   ORDER BY digest LIMIT $2;

PREPARE s139 AS SELECT digest, span_len, data_bytes FROM leaves WHERE digest > $1
               ORDER BY digest LIMIT $2;

PREPARE s140 AS SELECT digest, span_len, data_bytes FROM leaves x WHERE x.digest = $1 AND NOT EXISTS (SELECT 1 FROM condemned_objects o
                WHERE o.kind = 'leaf' AND o.digest = x.digest AND (o.generation <= $2 OR o.is_swept = 1)) AND NOT EXISTS (SELECT 1 FROM leaf_packs c WHERE c.leaf_digest = x.digest AND (EXISTS (SELECT 1 FROM lost_packs l WHERE l.pack_id = c.pack_id)
              OR EXISTS (SELECT 1 FROM condemned_packs k WHERE k.pack_id = c.pack_id AND (k.generation <= $2 OR k.is_swept = 1))));

PREPARE s141 AS SELECT dropped_count FROM webhooks WHERE id = $1;

PREPARE s142 AS SELECT epoch, state, store, catalog, at_secs FROM relocation;

PREPARE s143 AS SELECT h.host, h.application, h.instance, r.digest, r.version,
                 r.published_at_secs, h.channel, p.version,
                 c.sequence - (SELECT MAX(m.sequence) FROM channel_moves m
                               WHERE m.application = h.application AND m.channel = h.channel
                                   AND m.release_id = h.release_id),
                 h.disks, h.since_secs, h.renewed_at_secs, h.deadline_secs
             FROM hosts h
             JOIN releases r ON r.id = h.release_id
             LEFT JOIN channels c ON c.application = h.application AND c.name = h.channel
             LEFT JOIN releases p ON p.id = c.release_id WHERE h.host = $1 AND h.application = $2 AND h.instance = $3;

PREPARE s144 AS SELECT h.host, h.application, h.instance, r.digest, r.version,
                 r.published_at_secs, h.channel, p.version,
                 c.sequence - (SELECT MAX(m.sequence) FROM channel_moves m
                               WHERE m.application = h.application AND m.channel = h.channel
                                   AND m.release_id = h.release_id),
                 h.disks, h.since_secs, h.renewed_at_secs, h.deadline_secs
             FROM hosts h
             JOIN releases r ON r.id = h.release_id
             LEFT JOIN channels c ON c.application = h.application AND c.name = h.channel
             LEFT JOIN releases p ON p.id = c.release_id WHERE h.host > $1 AND ($2 = '' OR h.application = $2) AND h.host <= $3
         ORDER BY h.host, h.application, h.instance;

PREPARE s145 AS SELECT host, MAX(renewed_at_secs) FROM hosts
               WHERE release_id = $1 AND deadline_secs > $2 GROUP BY host ORDER BY host;

PREPARE s146 AS SELECT id FROM packs WHERE digest = $1;

PREPARE s147 AS SELECT id FROM releases
               WHERE application = $1 AND version = $2 AND deleted_at_secs IS NULL;

PREPARE s148 AS SELECT id FROM releases
               WHERE digest = $1 AND application = $2 AND deleted_at_secs IS NULL;

PREPARE s149 AS SELECT id FROM releases WHERE application = $1 AND version = $2;

PREPARE s150 AS SELECT id FROM releases WHERE digest = $1;

PREPARE s151 AS SELECT id, version FROM releases
               WHERE digest = $1 AND application = $2 AND deleted_at_secs IS NULL;

PREPARE s152 AS SELECT is_stopped FROM jobs
               WHERE kind = $1 AND run = $2 AND runner = $3 AND ended_at_secs IS NULL;

PREPARE s153 AS SELECT k.digest FROM leaf_packs p JOIN lost_packs l ON l.pack_id = p.pack_id
               JOIN packs k ON k.id = p.pack_id WHERE p.leaf_digest = $1;

PREPARE s154 AS SELECT k.digest FROM lost_packs l JOIN packs k ON k.id = l.pack_id;

PREPARE s155 AS SELECT k.digest, k.len,
                 EXISTS (SELECT 1 FROM lost_packs l WHERE l.pack_id = k.id),
                 EXISTS (SELECT 1 FROM condemned_packs c WHERE c.pack_id = k.id)
             FROM packs k WHERE k.digest = $1;

PREPARE s156 AS SELECT k.digest, k.len,
                 EXISTS (SELECT 1 FROM lost_packs l WHERE l.pack_id = k.id),
                 EXISTS (SELECT 1 FROM condemned_packs c WHERE c.pack_id = k.id)
             FROM packs k WHERE k.digest > $1 ORDER BY k.digest LIMIT $2;

PREPARE s157 AS SELECT k.pack_id FROM condemned_packs k JOIN packs p ON p.id = k.pack_id
               WHERE p.digest = $1 AND k.is_swept = 1;

PREPARE s158 AS SELECT kind, COUNT(*) FROM findings WHERE run = $1 AND class < 2 GROUP BY kind;

PREPARE s159 AS SELECT kind, digest FROM condemned_objects WHERE is_swept = $1 ORDER BY kind, digest;

PREPARE s160 AS SELECT kind, object, what, class FROM findings WHERE run = $1
               ORDER BY class, object LIMIT $2;

PREPARE s161 AS SELECT leaf_digest FROM leaf_packs
               WHERE pack_id = (SELECT id FROM packs WHERE digest = $1);

PREPARE s162 AS SELECT len FROM packs WHERE digest = $1;

PREPARE s163 AS SELECT m.application, m.channel, m.sequence, r.digest, r.version, m.moved_at_secs,
                 m.moved_by
             FROM channel_moves m JOIN releases r ON r.id = m.release_id WHERE (m.application, m.channel, m.sequence) > ($1, $2, $3)
         ORDER BY m.application, m.channel, m.sequence LIMIT $4;

PREPARE s164 AS SELECT m.application, m.channel, m.sequence, r.digest, r.version, m.moved_at_secs,
                 m.moved_by
             FROM channel_moves m JOIN releases r ON r.id = m.release_id WHERE m.application = $1 AND m.channel = $2 AND m.sequence = $3;

PREPARE s165 AS SELECT m.channel, MIN(c.sequence - m.sequence)
               FROM channel_moves m
               JOIN channels c ON c.application = m.application AND c.name = m.channel
               WHERE m.release_id = $1 AND c.release_id <> $1 AND c.sequence - m.sequence <= $2
               GROUP BY m.channel ORDER BY m.channel;

PREPARE s166 AS SELECT m.channel, m.sequence, r.digest, r.version, m.moved_at_secs, m.moved_by
               FROM channel_moves m JOIN releases r ON r.id = m.release_id
               WHERE m.application = $1 ORDER BY m.channel, m.sequence;

PREPARE s167 AS SELECT m.sequence, r.digest, r.version, m.moved_at_secs, m.moved_by
               FROM channel_moves m JOIN releases r ON r.id = m.release_id
               WHERE m.application = $1 AND m.channel = $2 ORDER BY m.sequence DESC LIMIT $3;

PREPARE s168 AS SELECT name FROM channels WHERE release_id = $1 ORDER BY name;

PREPARE s169 AS SELECT name, direction, url, token, applications, channels, every_secs,
                 bytes_per_sec_max, deletes, overrides_channels, request_count, created_at_secs,
                 created_by FROM mirrors ORDER BY name;

PREPARE s170 AS SELECT name, direction, url, token, applications, channels, every_secs,
                 bytes_per_sec_max, deletes, overrides_channels, request_count, created_at_secs,
                 created_by FROM mirrors WHERE name = $1;

PREPARE s171 AS SELECT name, reason FROM pins WHERE release_id = $1 ORDER BY name;

PREPARE s172 AS SELECT name, reason, pinned_at_secs, pinned_by FROM pins
               WHERE release_id = $1 ORDER BY name;

PREPARE s173 AS SELECT name, role, applications, created_at_secs, created_by, expires_at_secs,
                      revoked_at_secs
               FROM tokens WHERE digest = $1;

PREPARE s174 AS SELECT name, role, applications, created_at_secs, created_by, expires_at_secs,
                      revoked_at_secs
               FROM tokens WHERE name > $1 ORDER BY name LIMIT $2;

PREPARE s175 AS SELECT p.digest FROM condemned_packs k JOIN packs p ON p.id = k.pack_id
               WHERE k.is_swept = $1 ORDER BY p.id;

PREPARE s176 AS SELECT p.id, p.digest, p.len, l.pack_id IS NOT NULL, k.generation
               FROM packs p LEFT JOIN lost_packs l ON l.pack_id = p.id
                            LEFT JOIN condemned_packs k ON k.pack_id = p.id ORDER BY p.id;

PREPARE s177 AS SELECT pack_id FROM leaf_packs WHERE leaf_digest = $1;

PREPARE s178 AS SELECT pack_id, frame_offset, stored_len, plain_len, encoding
                   FROM chunks WHERE digest = $1;

PREPARE s179 AS SELECT pack_id, stored_len FROM chunks WHERE digest = $1;

PREPARE s180 AS SELECT r.digest FROM channels c JOIN releases r ON r.id = c.release_id
                       WHERE c.application = $1 AND c.name = $2;

PREPARE s181 AS SELECT r.digest, COUNT(DISTINCT h.host)
               FROM hosts h JOIN releases r ON r.id = h.release_id
               WHERE h.application = $1 AND h.deadline_secs > $2 GROUP BY r.digest;

PREPARE s182 AS SELECT r.digest, h.host, h.deadline_secs
               FROM hosts h JOIN releases r ON r.id = h.release_id
               WHERE h.application = $1 ORDER BY h.host, h.instance;

PREPARE s183 AS SELECT r.digest, p.name FROM pins p JOIN releases r ON r.id = p.release_id
               WHERE r.application = $1 ORDER BY r.id, p.name;

PREPARE s184 AS SELECT registry, store FROM identity;

PREPARE s185 AS SELECT request FROM jobs WHERE kind = $1 AND run = $2;

PREPARE s186 AS SELECT run, runner, beat_at_secs, is_stopped, started_at_secs, ended_at_secs,
                 failure, cursor, progress, request, kind, subject FROM jobs ORDER BY kind, subject, run DESC LIMIT $1;

PREPARE s187 AS SELECT run, runner, beat_at_secs, is_stopped, started_at_secs, ended_at_secs,
                 failure, cursor, progress, request, kind, subject FROM jobs WHERE kind = $1 AND ended_at_secs IS NULL ORDER BY subject;

PREPARE s188 AS SELECT run, runner, beat_at_secs, is_stopped, started_at_secs, ended_at_secs,
                 failure, cursor, progress, request, kind, subject FROM jobs WHERE kind = $1 AND subject = $2 ORDER BY run DESC LIMIT 1;

PREPARE s189 AS SELECT sequence, digest FROM audit ORDER BY sequence DESC LIMIT 1;

PREPARE s190 AS SELECT total FROM request_counts WHERE bucket = $1;

PREPARE s191 AS SELECT value FROM counters WHERE name = $1;

PREPARE s192 AS SELECT version, digest, machines, published_at_secs, published_by,
                 disk_bytes, data_bytes, application FROM releases WHERE application = $1 AND digest = $2 AND deleted_at_secs IS NULL;

PREPARE s193 AS SELECT version, digest, machines, published_at_secs, published_by,
                 disk_bytes, data_bytes, application FROM releases WHERE application = $1 AND id < $2 AND deleted_at_secs IS NULL
         ORDER BY id DESC LIMIT $3;

PREPARE s194 AS SELECT version, digest, machines, published_at_secs, published_by,
                 disk_bytes, data_bytes, application FROM releases WHERE application = $1 AND version = $2;

PREPARE s195 AS SELECT version, digest, machines, published_at_secs, published_by,
                 disk_bytes, data_bytes, application FROM releases WHERE deleted_at_secs IS NULL AND (digest IN (
             SELECT n.release_digest FROM damage_needs n JOIN damaged d ON d.object = n.object)
           OR id IN (
             SELECT n.release_id FROM (
                 SELECT y.leaf_digest FROM lost_leaves y
                 WHERE NOT EXISTS (SELECT 1 FROM leaves f WHERE f.digest = y.leaf_digest)
                 UNION SELECT p.leaf_digest FROM lost_packs l
                 JOIN leaf_packs p ON p.pack_id = l.pack_id) x
             JOIN index_leaves i ON i.leaf_digest = x.leaf_digest
             JOIN release_indexes n ON n.index_digest = i.index_digest))
         ORDER BY id DESC LIMIT $1;

PREPARE s196 AS SELECT version, digest, machines, published_at_secs, published_by,
                 disk_bytes, data_bytes, application FROM releases WHERE deleted_at_secs IS NULL ORDER BY id;

PREPARE s197 AS SELECT version, digest, machines, published_at_secs, published_by,
                 disk_bytes, data_bytes, application FROM releases WHERE digest = $1 AND deleted_at_secs IS NULL;

PREPARE s198 AS SELECT version, digest, machines, published_at_secs, published_by,
                 disk_bytes, data_bytes, application FROM releases WHERE id = $1;

PREPARE s199 AS SELECT version, digest, machines, published_at_secs, published_by,
                 disk_bytes, data_bytes, application FROM releases WHERE id > $1 AND deleted_at_secs IS NULL ORDER BY id LIMIT $2;

PREPARE s200 AS SELECT version, digest, machines, published_at_secs, published_by,
                 disk_bytes, data_bytes, application, deleted_at_secs, deleted_by FROM releases WHERE deleted_at_secs IS NOT NULL AND application = $1 AND digest = $2;

PREPARE s201 AS SELECT version, digest, machines, published_at_secs, published_by,
                 disk_bytes, data_bytes, application, deleted_at_secs, deleted_by FROM releases WHERE deleted_at_secs IS NOT NULL AND application = $1 AND version = $2;

PREPARE s202 AS SELECT version, digest, machines, published_at_secs, published_by,
                 disk_bytes, data_bytes, application, deleted_at_secs, deleted_by FROM releases WHERE deleted_at_secs IS NOT NULL AND id > $1 ORDER BY id LIMIT $2;

PREPARE s203 AS SELECT version, digest, published_at_secs FROM releases
               WHERE application = $1 AND deleted_at_secs IS NULL ORDER BY id DESC;

PREPARE s204 AS SELECT w.id FROM webhooks w WHERE EXISTS (
                   SELECT 1 FROM deliveries d WHERE d.webhook_id = w.id AND d.state = $1
                   AND d.next_at_secs <= $2);

PREPARE s205 AS SELECT w.id, w.url, w.secret, w.events, w.application, w.created_at_secs,
                 w.created_by FROM webhooks w ORDER BY w.created_at_secs, w.id;

PREPARE s206 AS SELECT w.id, w.url, w.secret, w.events, w.application, w.created_at_secs,
                 w.created_by FROM webhooks w WHERE w.id = $1;

PREPARE s207 AS SELECT what FROM damaged WHERE object = $1;

PREPARE s208 AS UPDATE condemned_objects SET is_swept = 1
               WHERE is_swept = 0 AND kind = $1 AND digest = $2 AND generation <= $3 RETURNING 1;

PREPARE s209 AS UPDATE condemned_packs SET is_swept = 1
               WHERE is_swept = 0 AND pack_id = (SELECT id FROM packs WHERE digest = $1)
                 AND generation <= $2 RETURNING 1;

PREPARE s210 AS UPDATE counters SET value = $1 WHERE name = $2;

PREPARE s211 AS UPDATE counters SET value = value + 1 WHERE name = $1;

PREPARE s212 AS UPDATE deliveries SET state = $1, attempt_count = attempt_count + 1,
                   next_at_secs = $2, settled_at_secs = $3, outcome = $4
               WHERE id = $5 AND state = $6 AND webhook_id = $7;

PREPARE s213 AS UPDATE identity SET store = $1;

PREPARE s214 AS UPDATE jobs SET beat_at_secs = $1
               WHERE kind = $2 AND run = $3 AND beat_at_secs < $1;

PREPARE s215 AS UPDATE jobs SET cursor = $1, progress = $2 WHERE kind = $3 AND run = $4;

PREPARE s216 AS UPDATE jobs SET ended_at_secs = $1, failure = $2, cursor = $3, progress = $4
               WHERE kind = $5 AND run = $6;

PREPARE s217 AS UPDATE jobs SET ended_at_secs = $1, failure = $2, request = ''
               WHERE ended_at_secs IS NULL;

PREPARE s218 AS UPDATE jobs SET is_stopped = 1, request = ''
               WHERE kind = $1 AND subject = $2 AND ended_at_secs IS NULL;

PREPARE s219 AS UPDATE jobs SET request = $1 WHERE kind = $2 AND run = $3;

PREPARE s220 AS UPDATE jobs SET request = '', is_stopped = 0 WHERE kind = $1 AND run = $2;

PREPARE s221 AS UPDATE jobs SET runner = $1, beat_at_secs = $2, is_stopped = 0,
                           ended_at_secs = NULL, failure = NULL
                       WHERE kind = $3 AND run = $4;

PREPARE s222 AS UPDATE leases SET deadline_secs = $1 WHERE id = $2 AND deadline_secs > $3
                   AND (is_pull = 0 OR opened_at_secs = 0 OR opened_at_secs > $4);

PREPARE s223 AS UPDATE leases SET has_kept = 1 WHERE id = $1;

PREPARE s224 AS UPDATE mirrors SET request_count = request_count + 1 WHERE name = $1;

PREPARE s225 AS UPDATE releases SET deleted_at_secs = $1, deleted_by = $2 WHERE id = $3;

PREPARE s226 AS UPDATE releases SET machines = $1, disk_bytes = $2, data_bytes = $3
               WHERE digest = $4;

PREPARE s227 AS UPDATE relocation SET epoch = epoch + 1;

PREPARE s228 AS UPDATE relocation SET state = $1, at_secs = $2 WHERE state = $3;

PREPARE s229 AS UPDATE tokens SET revoked_at_secs = $1 WHERE name = $2 AND revoked_at_secs IS NULL;

PREPARE s230 AS UPDATE webhooks SET dropped_count = dropped_count + 1 WHERE id = $1;
