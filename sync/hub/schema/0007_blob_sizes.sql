-- Bytes stored, of a device and of all, are added up every minute: from the index alone.
CREATE INDEX blobs_by_size ON blobs (state, device, size_bytes);
