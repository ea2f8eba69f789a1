//! What the nodes of a cluster offer, and how much of it is taken.
//!
//! [`mod@derive`] alone turns labels and allocatable into [`Offer`]s. The webhook chooses among
//! offers, the extender checks them. The module is pure: objects go in, an immutable [`Inventory`]
//! comes out.

pub mod availability;
pub mod capacity;
pub mod cluster;
pub mod derive;
pub mod dra;
pub mod dump;

pub mod ledger;
pub mod node;
pub mod node_usage;
pub mod offer;
pub mod pending_admissions;
pub mod pod;
pub mod quota;
pub mod reservations;
pub mod scheduling_constraints;
pub mod suitability;
pub mod unfit_reason;

pub use availability::{Availability, AvailabilityQuery};
pub use cluster::Inventory;
pub use dra::DeviceClasses;
pub use ledger::Ledger;
pub use node::NodeEntry;
pub use node_usage::{NodeUsage, PodRequest, PodRequestRef};
pub use offer::{NodeOffers, Offer, OfferClass};
pub use pending_admissions::{PendingAdmission, PendingAdmissions};
pub use pod::{PodEntry, PodPlacement, PodRecord, PodSummary};
pub use quota::{NamespaceQuota, QuotaKind};
pub use reservations::{Purpose, ReservationId, Reservations, Reserved};
pub use scheduling_constraints::SchedulingConstraints;
pub use unfit_reason::{UnfitReason, UnfitReasonKind};
