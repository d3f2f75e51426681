-- Of which parts of a window, in hundredths, somebody was told already. `amount` is what the limit was then: of a higher one
-- it is told again.
CREATE TABLE notices (
    window_id INTEGER NOT NULL,
    percent INTEGER NOT NULL,
    amount INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (window_id, percent)
) STRICT, WITHOUT ROWID;
