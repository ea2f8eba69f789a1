//! The fewest GPUs of one model that hold a demand, and a geometry for each of them.
//!
//! Slots are nested: a GPU of eight slots is two halves, a half is two pairs, a pair is two slots. Only the right half of such a GPU
//! is poorer, for the last slot is no start: nothing that wants half a GPU from slot 0 stands there (`4g`), and its last pair takes
//! what is two slots long from slot 6 (`1g` with double memory), one single slot, but no `2g`. A GPU of four slots is one left half.
//! So whether a number of GPUs is enough can be counted, without a search, whatever the numbers are; see `Load::fits_on`.

use super::geometry::{Model, Row};
use super::placement::{Piece, Placement};
use super::profile::MigProfile;

/// GPUs with one geometry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// How many.
    pub gpus: u64,
    /// What each of them holds.
    pub geometry: Vec<Placement>,
}

/// How many instances of each row of a model, in the order of its rows.
type Counts = Vec<u64>;

impl Model {
    /// The fewest GPUs of this model that hold these instances; `None` where the model lacks one of the profiles.
    pub fn gpus_for(&self, instances: &[(MigProfile, u64)]) -> Option<u64> {
        Load::of(self, &self.counts(instances)?).map(|load| load.gpus())
    }

    /// Geometries for the fewest GPUs of this model that hold these instances; `None` where the model lacks one of the profiles.
    pub fn pack(&'static self, instances: &[(MigProfile, u64)]) -> Option<Vec<Batch>> {
        let mut left = self.counts(instances)?;
        let mut batches = Vec::new();
        let mut gpus = Load::of(self, &left)?.gpus();
        while gpus > 0 {
            let (batch, geometry) = self
                .geometries_within(&left)
                .into_iter()
                .find_map(|geometry| Some((self.copies(&left, &geometry, gpus)?, geometry)))?;
            for (left, one) in left.iter_mut().zip(&geometry) {
                *left -= batch * one;
            }
            gpus -= batch;
            batches.push(Batch {
                gpus: batch,
                geometry: self.place(&self.pieces(&geometry))?,
            });
        }
        Some(batches)
    }

    /// Every geometry to which nothing can be added, the fullest first.
    pub fn geometries(&'static self) -> Vec<Vec<Placement>> {
        self.geometries_within(&vec![u64::MAX; self.rows.len()])
            .iter()
            .filter_map(|geometry| self.place(&self.pieces(geometry)))
            .collect()
    }

    fn counts(&self, instances: &[(MigProfile, u64)]) -> Option<Counts> {
        let mut counts = vec![0u64; self.rows.len()];
        for (profile, count) in instances.iter().filter(|(_, count)| *count > 0) {
            let row = self.row(*profile)?;
            let at = self.rows.iter().position(|other| other == row)?;
            counts[at] = counts[at].saturating_add(*count);
        }
        Some(counts)
    }

    fn pieces(&'static self, counts: &Counts) -> Vec<Piece> {
        let each = self.rows.iter().zip(counts);
        each.flat_map(|(row, count)| (0..*count).map(move |_| Piece::from(row)))
            .collect()
    }

    /// On how many of the fewest GPUs this geometry can stand, if the others hold the rest then; `None` for none.
    fn copies(&self, demand: &Counts, geometry: &Counts, gpus: u64) -> Option<u64> {
        let rest = |copies: u64| -> Option<u64> {
            let left = demand.iter().zip(geometry).map(|(all, one)| all - copies * one);
            Load::of(self, &left.collect()).map(|load| load.gpus())
        };
        let saves = |copies: u64| rest(copies).is_some_and(|rest| rest == gpus - copies);
        let most = demand.iter().zip(geometry).filter(|(_, one)| **one > 0);
        let most = most.map(|(all, one)| all / one).min()?;
        // Each GPU taken away saves at most one, so that what holds for some copies holds for fewer.
        let (mut enough, mut over) = (0, most + 1);
        while enough + 1 < over {
            let middle = enough + (over - enough) / 2;
            *(if saves(middle) { &mut enough } else { &mut over }) = middle;
        }
        Some(enough).filter(|copies| *copies > 0)
    }

    /// Every geometry within a demand to which nothing of the demand can be added: the fullest first, then the most uniform, which
    /// are the easiest to run.
    fn geometries_within(&'static self, demand: &Counts) -> Vec<Counts> {
        let limit = |at: usize| demand[at].min(u64::from(self.rows[at].max));
        let mut found: Vec<Counts> = Vec::new();
        let mut open = vec![(vec![0u64; self.rows.len()], 0)];
        while let Some((counts, from)) = open.pop() {
            let mut grows = false;
            for at in 0..self.rows.len() {
                if counts[at] < limit(at) {
                    let mut more = counts.clone();
                    more[at] += 1;
                    if self.place(&self.pieces(&more)).is_some() {
                        grows = true;
                        // Rows are added in their order, so that each geometry is met once.
                        if at >= from {
                            open.push((more, at));
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
                .zip(self.rows)
                .map(|(count, row)| count * u64::from(row.slots))
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

/// A demand, by what its instances take of a GPU.
#[derive(Debug, Default)]
struct Load {
    /// Whether GPUs have a right half.
    halves: bool,
    /// Instances that are whole GPUs.
    whole: u128,
    /// Half a GPU, in a left half only.
    left: u128,
    /// Half a GPU, in any half.
    half: u128,
    /// A pair that is not the last one of a right half.
    pair: u128,
    /// The same, with the media engines.
    media_pair: u128,
    /// Any pair.
    any_pair: u128,
    /// A single slot.
    single: u128,
    /// The same, with the media engines.
    media_single: u128,
}

impl Load {
    /// The load of counts by row; `None` if a row takes anything else of a GPU, which no row does: a test holds that.
    fn of(model: &Model, counts: &Counts) -> Option<Self> {
        let halves = model.slots == 8;
        let mut load = Load {
            halves,
            ..Load::default()
        };
        for (row, count) in model.rows.iter().zip(counts) {
            let place = load.place_of(model, row)?;
            *place += u128::from(*count);
        }
        Some(load)
    }

    fn place_of(&mut self, model: &Model, row: &Row) -> Option<&mut u128> {
        let unit = model.slots / if self.halves { 8 } else { 4 };
        let starts: Vec<u8> = row.starts.iter().map(|start| start / unit).collect();
        Some(
            match (self.halves, row.slots / unit, starts.as_slice(), row.is_media()) {
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

    /// The fewest GPUs that hold it.
    fn gpus(&self) -> u64 {
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

    /// Whether `gpus` hold all but the whole GPUs.
    ///
    /// Large instances first, each where it does the least harm: a left half can hold all that a right half can, and a full pair all
    /// that the last one can, so right halves and last pairs go first. That leaves the most pairs and the most slots; no other way
    /// leaves more of either. At most one instance with the media engines on a GPU: those GPUs are counted that still have a free
    /// pair when the halves are spread over as many GPUs as there are, and free pairs can be spread over any of these.
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
