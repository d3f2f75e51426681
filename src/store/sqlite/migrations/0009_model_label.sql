-- Under which name the sums have a request's model, if that is not the model's own: what costs of rows made anew add to.
ALTER TABLE requests ADD COLUMN model_label TEXT;
