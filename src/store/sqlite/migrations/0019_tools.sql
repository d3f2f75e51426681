-- Which tools a response was to use: an object of names and counts.
ALTER TABLE requests ADD COLUMN tools TEXT;
