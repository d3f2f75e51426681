-- What tokens, users and groups may use; an amount is in the measure's own unit, dollars in billionths.
CREATE TABLE limits (
    subject_kind TEXT NOT NULL,
    subject_id TEXT NOT NULL,
    measure TEXT NOT NULL,
    window TEXT NOT NULL,
    amount INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    PRIMARY KEY (subject_kind, subject_id, measure, window)
) STRICT, WITHOUT ROWID;
