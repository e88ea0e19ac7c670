//! The protocol of a profiler agent, and a client for it.
