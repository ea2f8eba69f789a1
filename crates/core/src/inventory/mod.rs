//! What the cluster's nodes offer, and how much of it is taken.
//!
//! Labels and allocatable become [`Offer`]s in one place ([`mod@derive`]); the webhook chooses among offers, the extender checks
//! them. Pure: objects come in, an immutable [`Inventory`] comes out.

pub mod availability;
pub mod derive;
pub mod dra;
pub mod dump;
mod interned;
pub mod inventory;
pub mod ledger;
pub mod node;
mod node_map;
pub mod node_usage;
pub mod offer;
pub mod pending_admissions;
pub mod pod;
pub mod pod_summary;
pub mod quota;
pub mod record;
pub mod reservations;
pub mod room;
pub mod scheduling_constraints;
pub mod suitability;
pub mod unfit_reason;

pub use availability::{Availability, AvailabilityQuery};
pub use dra::DeviceClasses;
pub use inventory::Inventory;
pub use ledger::Ledger;
pub use node::NodeEntry;
pub use node_usage::{NodeUsage, PodRequest, PodRequestRef};
pub use offer::{NodeOffers, Offer, OfferClass};
pub use pending_admissions::{PendingAdmission, PendingAdmissions};
pub use pod::PodEntry;
pub use pod_summary::PodSummary;
pub use quota::{NamespaceQuota, QuotaKind};
pub use record::PodRecord;
pub use reservations::{Purpose, Reservations, Reserved, Ticket};
pub use scheduling_constraints::SchedulingConstraints;
pub use unfit_reason::{UnfitReason, UnfitReasonKind};
