-- Who shares the gateway, and the client tokens. Times are milliseconds since 1970; lists are arrays in JSON.
CREATE TABLE groups (
    id TEXT PRIMARY KEY NOT NULL,
    name TEXT NOT NULL UNIQUE,
    time_zone TEXT NOT NULL DEFAULT 'UTC',
    created_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE users (
    id TEXT PRIMARY KEY NOT NULL,
    name TEXT NOT NULL UNIQUE,
    email TEXT,
    group_id TEXT REFERENCES groups (id),
    role TEXT NOT NULL DEFAULT 'member',
    state TEXT NOT NULL DEFAULT 'active',
    created_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tokens (
    id TEXT PRIMARY KEY NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id),
    name TEXT NOT NULL,
    hint TEXT NOT NULL,
    models TEXT NOT NULL DEFAULT '[]',
    upstreams TEXT NOT NULL DEFAULT '[]',
    addresses TEXT NOT NULL DEFAULT '[]',
    expires_ms INTEGER,
    state TEXT NOT NULL DEFAULT 'active',
    -- The last day of its use, in days since 1970.
    used_on INTEGER,
    created_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX tokens_of_user ON tokens (user_id);

-- SHA-256 of the text of a token. One that was rotated has two for a while.
CREATE TABLE secrets (
    digest BLOB PRIMARY KEY NOT NULL,
    token_id TEXT NOT NULL REFERENCES tokens (id),
    expires_ms INTEGER,
    created_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX secrets_of_token ON secrets (token_id);

-- Who changed what, without secrets.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY NOT NULL,
    at_ms INTEGER NOT NULL,
    actor TEXT NOT NULL,
    address TEXT,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    before TEXT,
    after TEXT
) STRICT;
