-- Up Migration

-- Devices say all the time that they are there. With no index on when they did, and room on the page, such a word touches the row and no index.
drop index devices_online;
alter table devices set (fillfactor = 75);
