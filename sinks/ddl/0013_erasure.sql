-- Erasure: a key a customer, so its id is no word of a small vocabulary; and parts that an erasure has replaced leave the disk within
-- a minute, not eight: longer than the half minute after which the system has written the new part to the disk.
ALTER TABLE feedback_events MODIFY COLUMN data_key_id String COMMENT 'Key whose destruction erases the text; empty: it came unsealed' CODEC(ZSTD(1));

ALTER TABLE feedback_events MODIFY COLUMN text_ciphertext String COMMENT 'The text, where its key did not open it; empty: it did, or it was destroyed' CODEC(ZSTD(1));

ALTER TABLE feedback_events MODIFY SETTING old_parts_lifetime = 60;
