//! Integration tests, in one binary so that they link once.

mod command;
mod drain;
mod explain;
mod layering;
mod lint;
mod patience;
mod serve;
mod serving;
mod stand;
mod tls;
