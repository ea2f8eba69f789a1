//! What the cluster's nodes offer, and how much of it is taken.
//!
//! Labels and allocatable become [`Offer`]s in one place ([`mod@derive`]); the webhook chooses among offers, the extender checks
//! them. Pure: objects come in, an immutable [`Inventory`] comes out.

pub mod allowance;
mod by_name;
pub mod claims;
pub mod delegation;
pub mod derive;
pub mod dump;
pub mod holdings;
mod interned;
pub mod lack;
pub mod ledger;
pub mod node;
pub mod offer;
pub mod pod;
pub mod record;
pub mod reservations;
pub mod room;
pub mod stock;
pub mod suitability;
pub mod supply;
pub mod whereabouts;
pub mod wish;

pub use allowance::{Allowance, Says};
pub use claims::{Claim, Claims};
pub use delegation::DeviceClasses;
pub use holdings::{Holding, Holdings, Newcomer};
pub use lack::{Lack, LackKind};
pub use ledger::Ledger;
pub use node::NodeEntry;
pub use offer::{NodeOffers, Offer, OfferClass};
pub use pod::PodEntry;
pub use record::PodRecord;
pub use reservations::{Purpose, Reservations, Reserved, Ticket};
pub use stock::Inventory;
pub use supply::{Supply, Wanted};
pub use whereabouts::Whereabouts;
pub use wish::Wish;
