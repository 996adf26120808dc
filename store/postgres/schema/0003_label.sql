-- wait.label is what lists look for, as the engine gave it: '' for most.

ALTER TABLE durable.wait ADD COLUMN label text COLLATE "C" NOT NULL DEFAULT '';
