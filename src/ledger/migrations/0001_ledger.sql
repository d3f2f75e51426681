-- What was spent of limits, and who may spend the rest. Times are milliseconds since 1970.
CREATE TABLE gateways (
    id TEXT PRIMARY KEY NOT NULL,
    version TEXT NOT NULL,
    seen_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE windows (
    id INTEGER PRIMARY KEY NOT NULL,
    subject_kind TEXT NOT NULL,
    subject_id TEXT NOT NULL,
    measure TEXT NOT NULL,
    window TEXT NOT NULL,
    opens_ms INTEGER NOT NULL,
    ends_ms INTEGER,
    -- What was spent by leases that are over.
    spent_closed INTEGER NOT NULL DEFAULT 0,
    UNIQUE (subject_kind, subject_id, measure, window, opens_ms)
) STRICT;
CREATE INDEX windows_by_end ON windows (ends_ms);

CREATE TABLE leases (
    window_id INTEGER NOT NULL,
    gateway TEXT NOT NULL,
    granted INTEGER NOT NULL DEFAULT 0,
    spent INTEGER NOT NULL DEFAULT 0,
    held INTEGER NOT NULL DEFAULT 0,
    wanted INTEGER NOT NULL DEFAULT 0,
    ticked_ms INTEGER NOT NULL,
    -- What the window was charged when the lease was taken for lost, until its gateway hears of it.
    charged INTEGER,
    PRIMARY KEY (window_id, gateway)
) STRICT, WITHOUT ROWID;
CREATE INDEX leases_of_gateway ON leases (gateway);

CREATE TABLE session_places (
    subject_kind TEXT NOT NULL,
    subject_id TEXT NOT NULL,
    session TEXT NOT NULL,
    until_ms INTEGER NOT NULL,
    PRIMARY KEY (subject_kind, subject_id, session)
) STRICT, WITHOUT ROWID;
CREATE INDEX session_places_by_end ON session_places (until_ms);
