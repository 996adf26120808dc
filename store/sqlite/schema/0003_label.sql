-- wait.label is what lists look for, as the engine gave it: '' for most.

ALTER TABLE wait ADD COLUMN label TEXT NOT NULL DEFAULT '';
