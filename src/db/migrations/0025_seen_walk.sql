-- Up Migration

-- Each walk writes which walk saw a device last. With half of each page free, the new version of a row stands in the page of the old one, and none
-- of the indexes is written.
alter table device_service_assignments set (fillfactor = 50);
