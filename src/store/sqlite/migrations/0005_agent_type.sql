-- Which kind of agent makes the request, as the client names it.
ALTER TABLE requests ADD COLUMN agent_type TEXT;
