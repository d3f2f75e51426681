-- The code of an upstream's error, beside its type, and the rule that decided what followed it.
ALTER TABLE requests ADD COLUMN error_code TEXT;
ALTER TABLE requests ADD COLUMN error_rule TEXT;
