//! Counts of GPU resources.

use std::fmt;

use smallvec::SmallVec;

use super::resource::GpuResource;

/// The count of each GPU resource, sorted by resource, without zeros.
///
/// Nearly all have one resource, which is stored inline: the filter reads the counts of every node,
/// and a pointer would cost a cache miss per node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Counts(SmallVec<[(GpuResource, u64); 1]>);

impl Counts {
    pub fn one(resource: GpuResource, count: u64) -> Self {
        let mut counts = Counts::default();
        counts.add(resource, count);
        counts
    }

    pub fn get(&self, resource: GpuResource) -> u64 {
        self.0
            .binary_search_by_key(&resource, |(r, _)| *r)
            .map_or(0, |at| self.0[at].1)
    }

    /// Saturates.
    pub fn add(&mut self, resource: GpuResource, count: u64) {
        if count == 0 {
            return;
        }
        match self.0.binary_search_by_key(&resource, |(r, _)| *r) {
            Ok(at) => self.0[at].1 = self.0[at].1.saturating_add(count),
            Err(at) => self.0.insert(at, (resource, count)),
        }
    }

    /// Saturates at zero.
    pub fn subtract(&mut self, resource: GpuResource, count: u64) {
        if let Ok(at) = self.0.binary_search_by_key(&resource, |(r, _)| *r) {
            self.0[at].1 = self.0[at].1.saturating_sub(count);
            if self.0[at].1 == 0 {
                self.0.remove(at);
            }
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (GpuResource, u64)> + '_ {
        self.0.iter().copied()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl FromIterator<(GpuResource, u64)> for Counts {
    fn from_iter<I: IntoIterator<Item = (GpuResource, u64)>>(counts: I) -> Self {
        // Sorted once: inserting many resources one by one would move the rest each time.
        let mut list: SmallVec<[(GpuResource, u64); 1]> = counts.into_iter().filter(|(_, count)| *count > 0).collect();
        if list.len() > 1 {
            list.sort_unstable_by_key(|(resource, _)| *resource);
            list.dedup_by(|next, sum| {
                let same = next.0 == sum.0;
                if same {
                    sum.1 = sum.1.saturating_add(next.1);
                }
                same
            });
            list.shrink_to_fit();
        }
        Counts(list)
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("no GPU");
        }
        for (at, (resource, count)) in self.iter().enumerate() {
            write!(f, "{}{resource} {count}", if at == 0 { "" } else { " + " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_saturate_and_omit_zeros() {
        let mut counts = Counts::one(GpuResource::Gpu, u64::MAX);
        counts.add(GpuResource::Gpu, 1);
        counts.add(GpuResource::GpuShared, 0);
        assert_eq!((counts.get(GpuResource::Gpu), counts.len()), (u64::MAX, 1));
        counts.add(GpuResource::GpuShared, 2);
        counts.subtract(GpuResource::GpuShared, 1);
        assert_eq!(counts.get(GpuResource::GpuShared), 1);
        counts.subtract(GpuResource::GpuShared, 3);
        counts.subtract(GpuResource::Gpu, u64::MAX);
        assert_eq!(counts.to_string(), "no GPU");
    }
}
