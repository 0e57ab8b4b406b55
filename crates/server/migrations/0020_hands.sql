-- Ids, between commas, of those who changed a key since it began to wait for an approval.
ALTER TABLE keys ADD COLUMN hands TEXT;
