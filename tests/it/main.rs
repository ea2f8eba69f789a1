//! Integration tests.

mod drain;
mod patience;
mod serving;
mod stand;
mod tls;
