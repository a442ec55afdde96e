//! Standings and the kernel table that enforces them. The ledger is the truth about standings;
//! the kernel's sets are a cache of it.
