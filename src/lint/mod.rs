//! What is doubtful in policies that can be read, alone and beside a cluster.
//!
//! What makes a policy unusable is the parser's to say ([`crate::policy::parse`]); what is found here does not stop a policy, it
//! does not do what it seems to. Pure: policies and an inventory come in, findings go out.

pub mod spelling;
