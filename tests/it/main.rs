//! Integration tests, in one binary so that they link once.

mod drain;
mod layering;
mod managed;
mod patience;
mod rollover;
mod serve;
mod serving;
mod stand;
mod tls;
