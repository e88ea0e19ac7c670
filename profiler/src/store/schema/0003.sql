-- Leases lie in the maps of the kernel, in step with the figures of their jobs.
DROP TABLE leases;
