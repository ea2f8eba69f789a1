//! The fewest GPUs of one model that hold a demand, and a geometry for each of them.
//!
//! Slots are nested: a GPU of eight slots has two halves, a half has two pairs, and a pair has two
//! slots. The right half of such a GPU holds less, because no single-slot instance starts at the
//! last slot: half-GPU profiles that start only at slot 0 (`4g`) never go there, and its last pair
//! holds a two-slot instance from slot 6 (`1g` with double memory) or one single slot, but no `2g`.
//! A GPU of four slots is one left half. So whether a number of GPUs is enough is a matter of
//! counting, without a search, however large the numbers are. See `Load::fits_on`.

use super::model::{Model, ProfileInfo};
use super::placement::{Instance, Placement};
use super::profile::MigProfile;

/// GPUs with one geometry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    pub gpus: u64,
    pub geometry: Vec<Placement>,
}

/// The number of instances of each profile of a model, in the order of its profiles.
type Counts = Vec<u64>;

impl Model {
    /// The fewest GPUs of this model that hold these instances; `None` if the model lacks one of
    /// the profiles.
    pub fn min_gpus(&self, instances: &[(MigProfile, u64)]) -> Option<u64> {
        Load::of(self, &self.counts(instances)?).map(|load| load.min_gpus())
    }

    /// Geometries for the fewest GPUs of this model that hold these instances; `None` if the model
    /// lacks one of the profiles.
    ///
    /// ```
    /// use apportion_mig::find_model;
    ///
    /// let demand = [("3g.20gb".parse()?, 3), ("1g.5gb".parse()?, 4)];
    /// let batches = find_model("A100-40GB")?.pack(&demand).unwrap();
    /// assert_eq!(batches.iter().map(|batch| batch.gpus).sum::<u64>(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn pack(&'static self, instances: &[(MigProfile, u64)]) -> Option<Vec<Batch>> {
        let mut remaining = self.counts(instances)?;
        let mut batches = Vec::new();
        let mut gpus = Load::of(self, &remaining)?.min_gpus();
        while gpus > 0 {
            let (batch, geometry) = self
                .geometries_within(&remaining)
                .into_iter()
                .find_map(|geometry| Some((self.copies(&remaining, &geometry, gpus)?, geometry)))?;
            for (remaining, one) in remaining.iter_mut().zip(&geometry) {
                *remaining -= batch * one;
            }
            gpus -= batch;
            batches.push(Batch {
                gpus: batch,
                geometry: self.place(&self.instances(&geometry))?,
            });
        }
        Some(batches)
    }

    /// Every geometry to which no instance can be added, the fullest first.
    pub fn geometries(&'static self) -> Vec<Vec<Placement>> {
        self.geometries_within(&vec![u64::MAX; self.profiles.len()])
            .iter()
            .filter_map(|geometry| self.place(&self.instances(geometry)))
            .collect()
    }

    fn counts(&self, instances: &[(MigProfile, u64)]) -> Option<Counts> {
        let mut counts = vec![0u64; self.profiles.len()];
        for (profile, count) in instances.iter().filter(|(_, count)| *count > 0) {
            let info = self.profile(*profile)?;
            let index = self.profiles.iter().position(|other| other == info)?;
            counts[index] = counts[index].saturating_add(*count);
        }
        Some(counts)
    }

    fn instances(&'static self, counts: &Counts) -> Vec<Instance> {
        let each = self.profiles.iter().zip(counts);
        each.flat_map(|(profile, count)| (0..*count).map(move |_| Instance::from(profile)))
            .collect()
    }

    /// How many of the fewest GPUs can have this geometry while the others hold the rest; `None`
    /// for none.
    fn copies(&self, demand: &Counts, geometry: &Counts, gpus: u64) -> Option<u64> {
        let rest = |copies: u64| -> Option<u64> {
            let left = demand.iter().zip(geometry).map(|(all, one)| all - copies * one);
            Load::of(self, &left.collect()).map(|load| load.min_gpus())
        };
        let saves = |copies: u64| rest(copies).is_some_and(|rest| rest == gpus - copies);
        let most = demand.iter().zip(geometry).filter(|(_, one)| **one > 0);
        let most = most.map(|(all, one)| all / one).min()?;
        // Each copy saves at most one GPU, so what is possible for some copies is possible for
        // fewer.
        let (mut enough, mut over) = (0, most + 1);
        while enough + 1 < over {
            let middle = enough + (over - enough) / 2;
            *(if saves(middle) { &mut enough } else { &mut over }) = middle;
        }
        Some(enough).filter(|copies| *copies > 0)
    }

    /// Every geometry within a demand to which nothing of the demand can be added: the fullest
    /// first, then the most uniform, because they are the easiest to operate.
    fn geometries_within(&'static self, demand: &Counts) -> Vec<Counts> {
        let limit = |index: usize| demand[index].min(u64::from(self.profiles[index].max));
        let mut found: Vec<Counts> = Vec::new();
        let mut open = vec![(vec![0u64; self.profiles.len()], 0)];
        while let Some((counts, from)) = open.pop() {
            let mut grows = false;
            for index in 0..self.profiles.len() {
                if counts[index] < limit(index) {
                    let mut more = counts.clone();
                    more[index] += 1;
                    if self.place(&self.instances(&more)).is_some() {
                        grows = true;
                        // Profiles are added in order, so each geometry is visited once.
                        if index >= from {
                            open.push((more, index));
                        }
                    }
                }
            }
            if !grows {
                found.push(counts);
            }
        }
        found.sort_by_key(|counts| {
            let slots: u64 = counts
                .iter()
                .zip(self.profiles)
                .map(|(count, profile)| count * u64::from(profile.slots))
                .sum();
            let kinds = counts.iter().filter(|count| **count > 0).count();
            (
                std::cmp::Reverse(slots),
                kinds,
                counts.iter().sum::<u64>(),
                counts.clone(),
            )
        });
        found
    }
}

/// A demand, counted by the part of a GPU that its instances need.
#[derive(Debug, Default)]
struct Load {
    /// Whether GPUs have a right half.
    halves: bool,
    /// Instances that are whole GPUs.
    whole: u128,
    /// Half a GPU, left halves only.
    left: u128,
    /// Half a GPU, either half.
    half: u128,
    /// A pair of slots, except the last pair of a right half.
    pair: u128,
    /// As `pair`, with media engines.
    media_pair: u128,
    /// Any pair of slots.
    any_pair: u128,
    /// A single slot.
    single: u128,
    /// As `single`, with media engines.
    media_single: u128,
}

impl Load {
    /// `None` if a profile needs another part of a GPU. No profile in [`tables`](super::tables)
    /// does, which a test checks.
    fn of(model: &Model, counts: &Counts) -> Option<Self> {
        let halves = model.slots == 8;
        let mut load = Load {
            halves,
            ..Load::default()
        };
        for (profile, count) in model.profiles.iter().zip(counts) {
            *load.counter(model, profile)? += u128::from(*count);
        }
        Some(load)
    }

    fn counter(&mut self, model: &Model, profile: &ProfileInfo) -> Option<&mut u128> {
        let unit = model.slots / if self.halves { 8 } else { 4 };
        let starts: Vec<u8> = profile.starts.iter().map(|start| start / unit).collect();
        Some(
            match (
                self.halves,
                profile.slots / unit,
                starts.as_slice(),
                profile.has_media(),
            ) {
                (true, 8, [0], false) | (false, 4, [0], false) => &mut self.whole,
                (true, 4, [0], false) => &mut self.left,
                (true, 4, [0, 4], false) => &mut self.half,
                (true, 2, [0, 2, 4], false) | (false, 2, [0, 2], false) => &mut self.pair,
                (false, 2, [0, 2], true) => &mut self.media_pair,
                (true, 2, [0, 2, 4, 6], false) => &mut self.any_pair,
                (true, 1, [0, 1, 2, 3, 4, 5, 6], media) | (false, 1, [0, 1, 2, 3], media) => {
                    if media {
                        &mut self.media_single
                    } else {
                        &mut self.single
                    }
                }
                _ => return None,
            },
        )
    }

    /// The fewest GPUs that hold the load.
    fn min_gpus(&self) -> u64 {
        let all = self.left + self.half + self.pair + self.media_pair + self.any_pair + self.single + self.media_single;
        let (mut under, mut enough) = (0, all);
        // More GPUs never hold less.
        while under < enough {
            let middle = under + (enough - under) / 2;
            if self.fits_on(middle) {
                enough = middle;
            } else {
                under = middle + 1;
            }
        }
        u64::try_from(self.whole + enough).unwrap_or(u64::MAX)
    }

    /// Whether `gpus` hold everything but the whole GPUs.
    ///
    /// Large instances go first, each where it blocks the least. A left half holds all that a right
    /// half does, and a full pair all that a last pair does, so right halves and last pairs are
    /// used first. No other way leaves more pairs or more slots. A GPU has at most one instance
    /// with media engines: the count is of GPUs that keep a free pair when the halves are spread
    /// over all GPUs, and free pairs can be spread over any of these.
    fn fits_on(&self, gpus: u128) -> bool {
        let rights = if self.halves { gpus } else { 0 };
        if self.left > gpus || self.left + self.half > gpus + rights {
            return false;
        }
        let half_right = self.half.min(rights);
        let free_lefts = gpus - self.left - (self.half - half_right);
        let free_rights = rights - half_right;
        let (full, last) = (2 * free_lefts + free_rights, free_rights);
        let any_last = self.any_pair.min(last);
        let pairs = self.pair + self.media_pair + (self.any_pair - any_last);
        if pairs > full {
            return false;
        }
        let (free_full, free_last) = (full - pairs, last - any_last);
        let crammed = if self.halves {
            (self.left + self.half).saturating_sub(gpus)
        } else {
            0
        };
        let open = gpus - crammed;
        self.single + self.media_single <= 2 * free_full + free_last
            && self.media_pair + self.media_single <= open
            && self.media_single <= free_full + free_last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MODELS, find_model};

    fn demand(text: &str) -> Vec<(MigProfile, u64)> {
        text.split_whitespace().map(|name| (name.parse().unwrap(), 1)).collect()
    }

    #[test]
    fn every_profile_has_a_counter() {
        for model in MODELS {
            let one_of_each = vec![1; model.profiles.len()];
            assert!(Load::of(model, &one_of_each).is_some(), "{}", model.name);
        }
    }

    #[test]
    fn one_profile_name_costs_a_different_fraction_on_each_model() {
        let seven = [("1g.10gb".parse().unwrap(), 7)];
        for (model, gpus) in [("A100-80GB", Some(1)), ("A100-40GB", Some(2)), ("A30-24GB", None)] {
            assert_eq!(find_model(model).unwrap().min_gpus(&seven), gpus, "{model}");
        }
    }

    #[test]
    fn min_gpus_fills_gpus_before_it_counts_another() {
        let a100 = find_model("A100-80GB").unwrap();
        for (instances, gpus) in [
            ("3g.40gb 3g.40gb 3g.40gb", 2),
            ("4g.40gb 4g.40gb 3g.40gb 3g.40gb", 2),
            ("7g.80gb 1g.10gb", 2),
            ("2g.20gb 2g.20gb 2g.20gb 1g.10gb 1g.10gb", 2),
            ("", 0),
        ] {
            assert_eq!(a100.min_gpus(&demand(instances)), Some(gpus), "{instances}");
        }
    }

    #[test]
    fn min_gpus_does_not_overflow() {
        let huge = [
            ("1g.10gb".parse().unwrap(), u64::MAX),
            ("3g.40gb".parse().unwrap(), u64::MAX / 3),
        ];
        let gpus = find_model("A100-80GB").unwrap().min_gpus(&huge);
        assert!(gpus.is_some_and(|gpus| gpus > u64::MAX / 8));
    }
}
