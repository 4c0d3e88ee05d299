-- Whoever may not act is found without reading everybody.

CREATE INDEX person_stopped ON person (id) WHERE state <> 'active';
